"""Evidence that a failure is the message's own: its neighbour serves other messages."""

import threading
from collections.abc import Callable

FRESH = 60.0
"""How long an answer is evidence, in seconds (docs/contract.md#exhaustion)."""


class Evidence:
    """Keeps the last good answers of each neighbour. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # By neighbour: the last two messages that it answered well, and when.
        self._good: dict[str, dict[str, float]] = {}

    def add(self, neighbour: str, message_id: str) -> None:
        """Note that `neighbour` has answered this message well."""
        with self._lock:
            good = self._good.setdefault(neighbour, {})
            good.pop(message_id, None)
            good[message_id] = self._clock()
            if len(good) > 2:
                del good[next(iter(good))]

    def against(self, neighbour: str, message_id: str, failing_for: float | None) -> bool:
        """Whether `neighbour` has answered another message well within FRESH seconds.

        Answers from before the message began to fail, `failing_for` seconds ago (None: unknown),
        do not count, because an outage may have begun since.
        """
        age = FRESH if failing_for is None else min(FRESH, failing_for)
        with self._lock:
            since = self._clock() - age
            good = self._good.get(neighbour, {})
            return any(at >= since for other, at in good.items() if other != message_id)
