"""reservation-api's state: the state machine of reservations; a key takes effect once."""

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.neighbours.journal import APPLIED, REPLAY, Journal

# Repeated on purpose: the simulator must not depend on the worker's own constants.
OPEN = frozenset({"PENDING", "HOLD"})
FINAL = frozenset({"CONFIRMED", "CANCELLED", "EXPIRED"})


@dataclass(frozen=True, slots=True)
class Record:
    """A reservation. No seat_ids with a quantity means general admission."""

    reservation_id: str
    event_id: str
    seat_ids: tuple[str, ...] = ()
    quantity: int = 0
    status: str = "HOLD"
    user_id: str | None = None
    payment_intent_id: str | None = None
    order_id: str | None = None
    cancel_reason: str | None = None
    error_code: str | None = None

    def __post_init__(self) -> None:
        if self.status not in OPEN | FINAL:
            raise ValueError(f"{self.reservation_id}: there is no state {self.status!r}")
        if self.seat_ids:
            object.__setattr__(self, "quantity", len(self.seat_ids))
        if self.quantity < 1:
            raise ValueError(f"{self.reservation_id}: neither seats nor a quantity")

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Record":
        """The inverse of `as_dict`."""
        return cls(**{**row, "seat_ids": tuple(row.get("seat_ids") or ())})

    def as_dict(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return asdict(self) | {"seat_ids": list(self.seat_ids)}


def camel_case(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with names in camelCase, as some services write them."""
    return {_camel(name): value for name, value in row.items()}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


@dataclass(frozen=True, slots=True)
class Change:
    """The answer to a change of state: whether it was made, and the record after it."""

    done: bool
    record: Record


class ReservationLedger:
    """PENDING or HOLD becomes CONFIRMED, CANCELLED or EXPIRED; a PATCH leaves none of these.

    A key's first answer is stored with the effect, under the same lock, and repeated for ever;
    today's service ignores keys.
    """

    def __init__(self, journal: Journal, character: Character = Character.CONTRACT) -> None:
        self._journal = journal
        self.character = character
        self._lock = threading.Lock()
        self._records: dict[str, Record] = {}
        self._answers: dict[str, Change] = {}

    def seed(self, record: Record) -> None:
        """Add a reservation, as if other services had made it."""
        with self._lock:
            if record.reservation_id in self._records:
                raise ValueError(f"{record.reservation_id} is there already")
            self._records[record.reservation_id] = record
            self._journal.write(
                "seed",
                record.reservation_id,
                APPLIED,
                show=record.event_id,
                seats=record.seat_ids,
                quantity=record.quantity,
                after=record.status,
            )

    def change(
        self,
        reservation_id: str,
        status: str,
        key: str = "",
        facts: Mapping[str, str | None] | None = None,
    ) -> Change | None:
        """Move to a final state, `facts` going onto the record; None: no such reservation."""
        if status not in FINAL:
            raise ValueError(f"{status!r} is no final state")
        stored_by = key if self.character is Character.CONTRACT else ""
        with self._lock:
            record = self._records.get(reservation_id)
            if record is None:
                return None
            if stored_by and stored_by in self._answers:
                # The facts don't matter: the key names the effect, which has taken place.
                self._write(REPLAY, key, record, record)
                return self._answers[stored_by]
            if record.status in OPEN:
                known: dict[str, Any] = {k: v for k, v in (facts or {}).items() if v is not None}
                changed = replace(record, status=status, **known)
                self._records[reservation_id] = changed
                answer = Change(True, changed)
                self._write(APPLIED, key, record, changed)
            else:
                answer = Change(False, record)
                self._write("refused", key, record, record)
            if stored_by:
                self._answers[stored_by] = answer
            return answer

    def get(self, reservation_id: str) -> Record | None:
        """The reservation now."""
        with self._lock:
            return self._records.get(reservation_id)

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """All reservations by id, as plain JSON values."""
        with self._lock:
            return {key: record.as_dict() for key, record in self._records.items()}

    def _write(self, outcome: str, key: str, before: Record, after: Record) -> None:
        self._journal.write(
            "status",
            after.reservation_id,
            outcome,
            key=key,
            show=after.event_id,
            before=before.status,
            after=after.status,
        )
