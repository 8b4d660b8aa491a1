"""The two neighbours in memory: the clients' ports over plain dicts, for tests without a network.

tests/contract/test_neighbour_ports.py runs the same tests against these and against the real
clients, so what holds for a fake holds for the neighbour. They have the known danger of today's
inventory-svc, too: a release frees the requested seats, sold or not.

A test sets the next answers by `script`, one item a call: an exception is raised instead of the
call, Lost(exception) lets the call take effect first, TRUTH answers truly, and anything else is
returned as it is. `journal` holds every call; both fakes may share one.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from reservation_worker.clients.ports import (
    OPEN_STATES,
    CallContext,
    Inventory,
    Reservation,
    ReservationApi,
    Seats,
    StatusAnswer,
    StatusChange,
)
from reservation_worker.errors import PermanentError, TransientError

TRUTH = object()
AVAILABLE, RESERVED, SOLD = "AVAILABLE", "RESERVED", "SOLD"
CALL = CallContext(timeout=10.0)


@dataclass(frozen=True)
class Lost:
    """The call takes effect, but its caller gets this error instead of the answer."""

    error: Exception


@dataclass(frozen=True)
class Called:
    """One call: PATCH, GET, release or commit, its arguments, and its idempotency key."""

    name: str
    about: Any
    key: str = ""


@dataclass
class _Fake:
    journal: list[Called] = field(default_factory=list)
    script: list[Any] = field(default_factory=list)
    reachable: bool = True
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def probe(self, timeout: float) -> None:
        if not self.reachable:
            raise TransientError("the fake is switched off")

    def _serve(self, called: Called, effect: Callable[[], Any]) -> Any:
        with self._lock:
            if not self.reachable:
                raise TransientError("the fake is switched off")
            self.journal.append(called)
            item = self.script.pop(0) if self.script else TRUTH
            if isinstance(item, Exception):
                raise item
            if item is not TRUTH and not isinstance(item, Lost):
                return item
            answer = effect()
            if isinstance(item, Lost):
                raise item.error
            return answer


@dataclass
class FakeReservationApi(_Fake):
    """reservation-api: PENDING and HOLD become a final state, which is never left.

    The first answer to a key is repeated for ever.
    """

    reservations: dict[str, Reservation] = field(default_factory=dict)
    _answers: dict[str, StatusAnswer] = field(default_factory=dict)

    def update_status(self, change: StatusChange, call: CallContext) -> StatusAnswer:
        key = f"status:{change.status}:{change.reservation_id}"
        answer: StatusAnswer = self._serve(
            Called("PATCH", change, key), lambda: self._change(change, key)
        )
        return answer

    def get(self, reservation_id: str, call: CallContext) -> Reservation | None:
        seen: Reservation | None = self._serve(
            Called("GET", reservation_id), lambda: self.reservations.get(reservation_id)
        )
        return seen

    def _change(self, change: StatusChange, key: str) -> StatusAnswer:
        now = self.reservations.get(change.reservation_id)
        if now is None:
            raise PermanentError("no such reservation")
        if key in self._answers:
            return self._answers[key]
        if now.status in OPEN_STATES:
            payment = change.payment_intent_id or now.payment_intent_id
            now = replace(now, status=change.status, payment_intent_id=payment)
            self.reservations[change.reservation_id] = now
            answer = StatusAnswer(True, now.status, now.payment_intent_id)
        else:
            answer = StatusAnswer(False, now.status, now.payment_intent_id)
        self._answers[key] = answer
        return answer


@dataclass
class FakePool:
    """General admission of one show: the free places, and the places of each reservation."""

    available: int
    held: dict[str, int] = field(default_factory=dict)
    sold: dict[str, int] = field(default_factory=dict)


@dataclass
class FakeInventory(_Fake):
    """inventory-svc: rows (state and owner of each numbered seat) and pools, by show.

    An effect is remembered by its key and not repeated; a refusal had none.
    """

    rows: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    pools: dict[str, FakePool] = field(default_factory=dict)
    _orders: dict[str, str | None] = field(default_factory=dict)

    def release(self, seats: Seats, reason: str, call: CallContext) -> None:
        key = f"release:{seats.reservation_id}"
        self._serve(
            Called("release", (seats, reason), key), lambda: self._once(key, self._release, seats)
        )

    def commit(
        self, seats: Seats, payment_intent_id: str, user_id: str, call: CallContext
    ) -> str | None:
        key = f"commit:{seats.reservation_id}"
        order_id: str | None = self._serve(
            Called("commit", (seats, payment_intent_id, user_id), key),
            lambda: self._once(key, self._commit, seats),
        )
        return order_id

    def _once(self, key: str, effect: Callable[[Seats], str | None], seats: Seats) -> str | None:
        if key not in self._orders:
            self._orders[key] = effect(seats)
        return self._orders[key]

    def _release(self, seats: Seats) -> None:
        rid = seats.reservation_id
        rows = self.rows.get(seats.event_id, {})
        pool = self.pools.get(seats.event_id)
        if seats.seat_ids:
            # The danger: it checks the seat's reservation, not whether the seat was sold.
            mine = [seat for seat in seats.seat_ids if rows.get(seat, ("", ""))[1] == rid]
            rows.update(dict.fromkeys(mine, (AVAILABLE, "")))
        elif pool is not None:
            # The danger again: only the key guards the count.
            pool.available += seats.quantity
            pool.held.pop(rid, None)

    def _commit(self, seats: Seats) -> str:
        rid, order_id = seats.reservation_id, f"ord_{seats.reservation_id}"
        rows = self.rows.get(seats.event_id, {})
        pool = self.pools.get(seats.event_id)
        if seats.seat_ids:
            if any(rows.get(seat) != (RESERVED, rid) for seat in seats.seat_ids):
                raise PermanentError("the seats are gone")
            rows.update(dict.fromkeys(seats.seat_ids, (SOLD, rid)))
        else:
            if pool is None or pool.held.get(rid, 0) < seats.quantity:
                raise PermanentError("the places are gone")
            pool.sold[rid] = pool.held.pop(rid)
        return order_id


@dataclass(frozen=True)
class DirectNeighbours:
    """The handlers' Neighbours straight over two ports: no lease, no breaker, no span."""

    reservation_api: ReservationApi
    inventory: Inventory
    forgotten: Callable[[bool], bool] = lambda replayed: False

    def update_status(self, change: StatusChange) -> StatusAnswer:
        return self.reservation_api.update_status(change, CALL)

    def get(self, reservation_id: str) -> Reservation | None:
        return self.reservation_api.get(reservation_id, CALL)

    def release(self, seats: Seats, reason: str) -> None:
        self.inventory.release(seats, reason, CALL)

    def commit(self, seats: Seats, payment_intent_id: str, user_id: str) -> str | None:
        return self.inventory.commit(seats, payment_intent_id, user_id, CALL)

    def key_may_be_forgotten(self, replayed: bool) -> bool:
        return self.forgotten(replayed)
