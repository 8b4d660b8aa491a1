"""The stock of one show: numbered seats in rows, or a pool for general admission.

Both behave like the real service's tables, the known danger included. Keys, locks and the journal
are the seat ledger's part.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from reservation_worker.simulator.neighbours.reservations import OPEN, Record

AVAILABLE, RESERVED, SOLD = "AVAILABLE", "RESERVED", "SOLD"


class StockResult(StrEnum):
    """The result of a call; inventory_answers.py translates it for the wire."""

    DONE = "done"
    ALREADY = "already"
    NOT_FOUND = "not_found"
    HOLD_GONE = "hold_gone"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Effect:
    """The result of a call, the changed seats, and the stock before and after.

    `replay`: it took place at an earlier call with the same key.
    """

    result: StockResult
    seats: tuple[str, ...] = ()
    before: Any = None
    after: Any = None
    replay: bool = False


def state_for(record: Record) -> str:
    """The state of a reservation's seats."""
    if record.status in OPEN:
        return RESERVED
    return SOLD if record.status == "CONFIRMED" else AVAILABLE


class Rows:
    """Numbered seats: a state and the id of the seat's reservation.

    With `all_or_nothing` a release of seats that are not all the reservation's is refused.
    """

    def __init__(self, all_or_nothing: bool) -> None:
        self._all_or_nothing = all_or_nothing
        self._rows: dict[str, tuple[str, str]] = {}

    def seed(self, record: Record) -> None:
        """Give the reservation its seats."""
        taken = [seat for seat in record.seat_ids if self._rows.get(seat, ("", ""))[1]]
        if taken:
            raise ValueError(f"{record.reservation_id}: somebody has {', '.join(taken)}")
        state = state_for(record)
        owner = "" if state == AVAILABLE else record.reservation_id
        self._rows.update(dict.fromkeys(record.seat_ids, (state, owner)))

    def release(self, reservation_id: str, seats: Sequence[str], _quantity: int) -> Effect:
        """Free the seats whose row carries the id, sold or not: this is the danger."""
        before = self._view(seats)
        freed = tuple(seat for seat, row in before.items() if row[1] == reservation_id)
        if self._all_or_nothing and len(freed) < len(set(seats)):
            return Effect(StockResult.CONFLICT, (), before, before)
        self._rows.update(dict.fromkeys(freed, (AVAILABLE, "")))
        if freed:
            return Effect(StockResult.DONE, freed, before, self._view(seats))
        return Effect(StockResult.ALREADY if before else StockResult.NOT_FOUND, (), before, before)

    def commit(self, reservation_id: str, seats: Sequence[str], _quantity: int) -> Effect:
        """Sell all of the seats, or none."""
        before = self._view(seats)
        rows = list(before.values())
        if len(before) < len(set(seats)):
            result = StockResult.NOT_FOUND
        elif all(row == [RESERVED, reservation_id] for row in rows):
            result = StockResult.DONE
            self._rows.update(dict.fromkeys(before, (SOLD, reservation_id)))
        elif all(row == [SOLD, reservation_id] for row in rows):
            result = StockResult.ALREADY
        elif any(row[1] not in ("", reservation_id) for row in rows):
            result = StockResult.CONFLICT
        else:
            result = StockResult.HOLD_GONE
        changed = tuple(before) if result is StockResult.DONE else ()
        return Effect(result, changed, before, self._view(seats))

    def as_dict(self) -> dict[str, list[str]]:
        """All rows as plain JSON values."""
        return self._view(list(self._rows))

    def _view(self, seats: Sequence[str]) -> dict[str, list[str]]:
        return {seat: list(self._rows[seat]) for seat in seats if seat in self._rows}


@dataclass(slots=True)
class Pool:
    """General admission: the number of free places, and of each reservation's."""

    capacity: int
    available: int
    held: dict[str, int] = field(default_factory=dict)
    sold: dict[str, int] = field(default_factory=dict)

    def seed(self, record: Record) -> None:
        """Give the reservation its places."""
        state = state_for(record)
        if state == AVAILABLE:
            return
        if self.available < record.quantity:
            raise ValueError(f"{record.reservation_id}: {record.event_id} is sold out")
        self.available -= record.quantity
        book = self.held if state == RESERVED else self.sold
        book[record.reservation_id] = record.quantity

    def release(self, reservation_id: str, _seats: Sequence[str], quantity: int) -> Effect:
        """Put the places back, whether held, sold or neither: this is the danger."""
        before = self._view(reservation_id)
        self.available += quantity
        self._take_held(reservation_id, quantity)
        return Effect(StockResult.DONE, (), before, self._view(reservation_id))

    def commit(self, reservation_id: str, _seats: Sequence[str], quantity: int) -> Effect:
        """Sell the reservation's held places."""
        before = self._view(reservation_id)
        if before["held"] >= quantity:
            self._take_held(reservation_id, quantity)
            self.sold[reservation_id] = before["sold"] + quantity
            result = StockResult.DONE
        else:
            result = StockResult.ALREADY if before["sold"] >= quantity else StockResult.HOLD_GONE
        return Effect(result, (), before, self._view(reservation_id))

    def as_dict(self) -> dict[str, Any]:
        """The pool as plain JSON values."""
        return asdict(self)

    def _take_held(self, reservation_id: str, quantity: int) -> None:
        left = self.held.pop(reservation_id, 0) - quantity
        if left > 0:
            self.held[reservation_id] = left

    def _view(self, reservation_id: str) -> dict[str, int]:
        return {
            "available": self.available,
            "held": self.held.get(reservation_id, 0),
            "sold": self.sold.get(reservation_id, 0),
        }
