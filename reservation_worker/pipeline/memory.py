"""Which messages are settled although their delete failed: their copies are only deleted."""

import threading
from collections import OrderedDict


class SettledMemory:
    """The last `capacity` message ids whose delete may not have worked."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, message_id: str) -> None:
        """The oldest gives way when it is full."""
        with self._lock:
            self._ids[message_id] = None
            self._ids.move_to_end(message_id)
            while len(self._ids) > self._capacity:
                self._ids.popitem(last=False)

    def forget(self, message_id: str) -> None:
        """Its delete worked after all."""
        with self._lock:
            self._ids.pop(message_id, None)

    def knows(self, message_id: str) -> bool:
        """Whether a copy of this message only needs deleting."""
        with self._lock:
            return message_id in self._ids
