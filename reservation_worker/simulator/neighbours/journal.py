"""The journal: every call on the two ledgers, in the order of their effects."""

import threading
import time
from collections.abc import Sequence
from typing import Any

# The outcome of a call that changed something, and of one that repeated an earlier call's key.
APPLIED, REPLAY = "applied", "replay"


class Journal:
    """An ordered list that both ledgers share, so that their effects can be compared in time.

    A ledger writes while it holds its lock, so the order is that of the effects.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[dict[str, Any]] = []

    def write(
        self,
        op: str,
        reservation_id: str,
        outcome: str,
        *,
        key: str = "",
        show: str = "",
        seats: Sequence[str] = (),
        quantity: int = 0,
        before: Any = None,
        after: Any = None,
    ) -> None:
        """Add an entry, with the next number and the time.

        `before` and `after` are the touched state, rows, or counts of a pool; a replay repeats
        those of its key's first call.
        """
        with self._lock:
            self._entries.append(
                {
                    "seq": len(self._entries) + 1,
                    "time": time.time(),
                    "op": op,
                    "reservation_id": reservation_id,
                    "outcome": outcome,
                    "key": key,
                    "show": show,
                    "seats": list(seats),
                    "quantity": quantity,
                    "before": before,
                    "after": after,
                }
            )

    def entries(self, since: int = 0) -> list[dict[str, Any]]:
        """All entries with a number above `since`, as plain JSON values."""
        with self._lock:
            # Numbers start at 1 and have no gaps, so a number is also a position.
            return self._entries[since:]
