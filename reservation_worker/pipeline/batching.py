"""A bounded queue that is emptied in batches of ten, or of fewer after a short linger."""

import threading
from collections import deque
from typing import Generic, TypeVar

from reservation_worker.sqs.batches import BATCH

LINGER = 0.1
"""How long a batch waits until it is full, in seconds."""

T = TypeVar("T")


class Batches(Generic[T]):
    """Like queue.Queue, but the consumer is woken for a batch, not for every item."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[T] = deque()
        self._closed = False
        self._lock = threading.Lock()
        self._came = threading.Condition(self._lock)
        self._went = threading.Condition(self._lock)

    def put(self, item: T, timeout: float = 0.0) -> bool:
        """Add an item, waiting at most `timeout` seconds for room; false if there is none."""
        with self._lock:
            if not self._went.wait_for(lambda: len(self._items) < self._capacity, timeout):
                return False
            self._items.append(item)
            if len(self._items) in (1, BATCH):
                self._came.notify()
            return True

    def take(self, linger: float = LINGER) -> list[T]:
        """The next batch, waiting for its first item; empty once it is closed and empty."""
        with self._lock:
            self._came.wait_for(lambda: self._items or self._closed)
            self._came.wait_for(lambda: len(self._items) >= BATCH or self._closed, linger)
            batch = [self._items.popleft() for _ in range(min(BATCH, len(self._items)))]
            self._went.notify_all()
            return batch

    def close(self) -> None:
        """Hand out the remaining items at once; after them `take` returns an empty batch."""
        with self._lock:
            self._closed = True
            self._came.notify()
