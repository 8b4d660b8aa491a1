"""The journal: every call on the two ledgers, in the order of their effects."""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# The outcome of a call: it changed something, was answered from an earlier call's key, found
# nothing to change, or was refused.
APPLIED, REPLAY, NOTHING, REFUSED = "applied", "replay", "nothing", "refused"


@dataclass(frozen=True, slots=True)
class Entry:
    """One call. `before` and `after` are the touched state, rows, or counts of a pool."""

    seq: int
    time: float
    op: str
    reservation_id: str
    outcome: str
    key: str = ""
    show: str = ""
    seats: tuple[str, ...] = ()
    quantity: int = 0
    before: Any = None
    after: Any = None

    def as_dict(self) -> dict[str, Any]:
        """The entry as plain JSON values."""
        row = {name: getattr(self, name) for name in self.__slots__}
        row["seats"] = list(self.seats)
        return row


class Journal:
    """An ordered list that both ledgers share, so that their effects can be compared in time.

    A ledger writes while it holds its lock, so the order is that of the effects.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._entries: list[Entry] = []

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
        """Add an entry, with the next number and the time."""
        with self._lock:
            self._entries.append(
                Entry(
                    next(self._numbers),
                    self._clock(),
                    op,
                    reservation_id,
                    outcome,
                    key,
                    show,
                    tuple(seats),
                    quantity,
                    before,
                    after,
                )
            )

    def entries(self, since: int = 0) -> list[Entry]:
        """All entries with a number above `since`."""
        with self._lock:
            # Numbers start at 1 and have no gaps, so a number is also a position.
            return self._entries[since:]
