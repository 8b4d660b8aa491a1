"""ctrl-C as a wish: what is under way is finished, then the verb ends with 130."""

import os
import select
import signal
from types import FrameType, TracebackType
from typing import Self


class Interrupt:
    """While it is entered, SIGINT is only noted. For the main thread."""

    def __init__(self) -> None:
        self.came = False

    def pause(self, seconds: float) -> bool:
        """Wait so long, or until ctrl-C; whether it came."""
        select.select([self._heard], [], [], seconds)
        return self.came

    def __enter__(self) -> Self:
        # A signal just before the wait would be missed by a flag alone; the interpreter writes to
        # this pipe at once.
        self._heard, self._tell = os.pipe()
        os.set_blocking(self._tell, False)
        self._fd_before = signal.set_wakeup_fd(self._tell, warn_on_full_buffer=False)
        self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.signal(signal.SIGINT, self._before)
        signal.set_wakeup_fd(self._fd_before)
        os.close(self._heard)
        os.close(self._tell)

    def _note(self, number: int, frame: FrameType | None) -> None:
        # No locks here, and no printing: the main thread may be in the middle of either.
        self.came = True
