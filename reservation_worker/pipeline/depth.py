"""How deep the queues are, for those who watch: one call of SQS for all of them."""

import threading
from collections.abc import Callable

from loguru import logger

from reservation_worker.errors import SqsError
from reservation_worker.pipeline.sqs import Depths

FRESH = 15.0
"""How long an answer is good for, in seconds."""


class DepthReader:
    """Reads on demand, at most once in FRESH seconds; without viewers it asks nothing."""

    def __init__(self, read: Callable[[], Depths], clock: Callable[[], float]) -> None:
        self._read = read
        self._clock = clock
        self._reading = threading.Lock()
        self._last: Depths | None = None
        self._asked_at = float("-inf")

    def depths(self) -> Depths | None:
        """The depths as last read; None before the first answer, and while SQS refuses.

        Who comes while somebody else asks gets the last answer instead of waiting.
        """
        if self._clock() - self._asked_at < FRESH or not self._reading.acquire(blocking=False):
            return self._last
        try:
            self._last = self._read()
        except SqsError as error:
            self._last = None
            logger.warning("the queue's depth can't be read: {}", error)
        finally:
            self._asked_at = self._clock()
            self._reading.release()
        return self._last
