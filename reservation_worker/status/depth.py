"""The depths of the queue and its dead-letter queue, read once for all viewers."""

import threading
from collections.abc import Callable

from loguru import logger

from reservation_worker.errors import SqsError
from reservation_worker.sqs.queue import Depths

FRESH = 15.0
"""An answer is reused for this long, in seconds."""
PATIENCE = 0.5
"""The longest wait of a viewer for SQS, in seconds: it holds a thread of the HTTP server."""


class DepthReader:
    """Reads on demand, at most once in FRESH seconds; without viewers SQS is not called."""

    def __init__(self, read: Callable[[], Depths], clock: Callable[[], float]) -> None:
        self._read = read
        self._clock = clock
        self._reading = threading.Lock()
        self._last: Depths | None = None
        self._asked_at = float("-inf")
        self._answered_at: float | None = None
        self.refused = False

    def depths(self) -> Depths | None:
        """The depths as last read; None before the first answer, and while SQS refuses.

        While another call reads, and if SQS is slow, it returns the last answer.
        """
        if self._clock() - self._asked_at < FRESH or not self._reading.acquire(blocking=False):
            return self._last
        asking = threading.Thread(target=self._ask, name="depth", daemon=True)
        try:
            asking.start()
        except RuntimeError:  # the system has no thread left
            self._reading.release()
            return self._last
        asking.join(PATIENCE)
        return self._last

    @property
    def age(self) -> float | None:
        """The age of the last answer in seconds; None before the first."""
        return None if self._answered_at is None else self._clock() - self._answered_at

    def _ask(self) -> None:
        try:
            self._last = self._read()
            self._answered_at = self._clock()
            self.refused = False
        except Exception as error:
            self._last, self.refused = None, True
            # A traceback only for an unexpected error.
            logger.opt(exception=not isinstance(error, SqsError)).warning(
                "the queue's depth can't be read: {}", error
            )
        finally:
            self._asked_at = self._clock()
            self._reading.release()
