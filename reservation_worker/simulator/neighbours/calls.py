"""The last calls that a neighbour received, for tests to look at."""

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

# The headers that the contract promises with every call: trace and key.
_HEADERS = ("traceparent", "x-trace-id", "idempotency-key", "content-type")


class CallLog:
    """A bounded list: a long run forgets its oldest calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[dict[str, Any]] = deque(maxlen=500_000)
        self._total = 0

    def add(
        self,
        method: str,
        reservation_id: str,
        headers: Mapping[str, str],
        body: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Record an incoming call; the server adds `answer` to the returned row."""
        lower = {name.lower(): value for name, value in headers.items()}
        row = {
            "time": time.time(),
            "method": method,
            "reservation_id": reservation_id,
            "headers": {name: lower[name] for name in _HEADERS if name in lower},
            "body": dict(body),
            "answer": None,
        }
        with self._lock:
            self._calls.append(row)
            self._total += 1
        return row

    def rows(self) -> list[dict[str, Any]]:
        """Oldest first."""
        with self._lock:
            return [dict(row) for row in self._calls]

    @property
    def total(self) -> int:
        """How many calls came in, the forgotten ones included."""
        with self._lock:
            return self._total
