"""A ctrl-C that is noted: the call under way is finished, then the verb ends with 130."""

import os
import select
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether ctrl-C `came`; `woken` is a pipe that becomes readable with it."""

    def __init__(self, woken: int, signals: Collection[int]) -> None:
        self.came = False
        self._woken = woken
        self._signals = signals

    def pause(self, seconds: float) -> bool:
        """Wait so long, or until ctrl-C; whether it came."""
        select.select([self._woken], [], [], seconds)
        return self.came

    def note(self, number: int, frame: FrameType | None) -> None:
        """The signals' handler."""
        # No locks here, and no printing: the main thread may be in the middle of either.
        self.came = True

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Within it ctrl-C raises KeyboardInterrupt at once: a person is asked."""
        for number in self._signals:
            signal.signal(number, signal.default_int_handler)
        try:
            yield
        except KeyboardInterrupt:
            self.came = True
            raise
        finally:
            for number in self._signals:
                signal.signal(number, self.note)


@contextmanager
def interrupt_noted(*more: int) -> Iterator[Interrupt]:
    """Until it is left, SIGINT and `more` signals are only noted. For the main thread."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    # A signal just before a wait would be missed by the flag alone; the interpreter writes to this
    # pipe at once.
    fd_before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    # Under nohup a hang-up is no wish to stop.
    wanted = (number for number in more if signal.getsignal(number) != signal.SIG_IGN)
    noted = (signal.SIGINT, *wanted)
    interrupt = Interrupt(woken, noted)
    before = [signal.signal(number, interrupt.note) for number in noted]
    try:
        yield interrupt
    finally:
        for number, handler in zip(noted, before, strict=True):
            signal.signal(number, handler)
        signal.set_wakeup_fd(fd_before)
        os.close(woken)
        os.close(wake)
