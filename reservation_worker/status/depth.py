"""How deep the queues are, for those who watch: one call of SQS for all of them."""

import threading
from collections.abc import Callable

from loguru import logger

from reservation_worker.errors import SqsError
from reservation_worker.sqs.queue import Depths

FRESH = 15.0
"""How long an answer is good for, in seconds."""
PATIENCE = 0.5
"""How long a viewer waits for SQS, in seconds: a thread of the HTTP server is not held up."""


class DepthReader:
    """Reads on demand, at most once in FRESH seconds; without viewers it asks nothing."""

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

        Who comes while SQS is asked gets the last answer instead of waiting; so does who asked,
        if SQS is slow.
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
        """How many seconds ago SQS gave the last answer; None before the first."""
        return None if self._answered_at is None else self._clock() - self._answered_at

    def _ask(self) -> None:
        try:
            self._last = self._read()
            self._answered_at = self._clock()
            self.refused = False
        except Exception as error:
            self._last, self.refused = None, True
            # A traceback only for what we did not expect.
            logger.opt(exception=not isinstance(error, SqsError)).warning(
                "the queue's depth can't be read: {}", error
            )
        finally:
            self._asked_at = self._clock()
            self._reading.release()
