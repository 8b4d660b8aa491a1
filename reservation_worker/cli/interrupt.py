"""A ctrl-C that is noted: the call under way is finished, then the verb ends with 130."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether ctrl-C `came`; `woken` is a pipe that becomes readable with it."""

    def __init__(self, woken: int) -> None:
        self.came = False
        self._woken = woken

    def pause(self, seconds: float) -> bool:
        """Wait so long, or until ctrl-C; whether it came."""
        select.select([self._woken], [], [], seconds)
        return self.came

    def note(self, number: int, frame: FrameType | None) -> None:
        """The signal's handler."""
        # No locks here, and no printing: the main thread may be in the middle of either.
        self.came = True


@contextmanager
def interrupt_noted() -> Iterator[Interrupt]:
    """Until it is left, SIGINT is only noted. For the main thread."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    # A signal just before a wait would be missed by the flag alone; the interpreter writes to this
    # pipe at once.
    fd_before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    interrupt = Interrupt(woken)
    before = signal.signal(signal.SIGINT, interrupt.note)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
        signal.set_wakeup_fd(fd_before)
        os.close(woken)
        os.close(wake)
