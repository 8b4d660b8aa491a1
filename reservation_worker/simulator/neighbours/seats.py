"""inventory-svc's state: the owner of each seat; a key takes effect once.

It has the real service's known danger: ReleaseHold frees every requested seat whose row carries the
reservation's id, *sold ones included*, and only the key guards a release by quantity. The ledger
records its effects; reconcile.py checks them.

Today's service writes its key after the effect. Here both happen at once, because the worker could
not close that gap anyway.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.neighbours.journal import (
    APPLIED,
    NOTHING,
    REFUSED,
    REPLAY,
    Journal,
)
from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.neighbours.stock import Effect, Pool, Rows, StockResult

# Large enough that an undeclared pool never sells out by accident.
DEFAULT_POOL = 1_000_000

_OUTCOMES = {
    ("release", StockResult.DONE): APPLIED,
    ("release", StockResult.ALREADY): NOTHING,
    ("release", StockResult.NOT_FOUND): NOTHING,
    ("commit", StockResult.DONE): APPLIED,
    ("commit", StockResult.ALREADY): NOTHING,
}


@dataclass(frozen=True, slots=True)
class SeatAnswer:
    """The answer to a release or a commit: the seats it changed and, once sold, the order."""

    result: StockResult
    seats: tuple[str, ...] = ()
    order_id: str = ""
    replay: bool = False


class SeatLedger:
    """Rows and pools by show. A key is stored together with its effect, under one lock.

    `key_ttl` (seconds) overrides the character's; `clock` counts them.
    """

    def __init__(
        self,
        journal: Journal,
        character: Character = Character.CONTRACT,
        key_ttl: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self.character = character
        self._key_ttl = character.key_ttl if key_ttl is None else key_ttl
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()
        self._rows: dict[str, Rows] = {}
        self._pools: dict[str, Pool] = {}
        self._answers: dict[str, tuple[float, SeatAnswer]] = {}

    def add_pool(self, show: str, capacity: int) -> None:
        """Declare a show's general admission."""
        with self._lock:
            self._pools[show] = Pool(capacity, capacity)

    def seed(self, record: Record) -> None:
        """Give a reservation the places that its state implies: held, sold or none."""
        with self._lock:
            if record.seat_ids:
                self._rows.setdefault(record.event_id, Rows()).seed(record)
            else:
                default = Pool(DEFAULT_POOL, DEFAULT_POOL)
                self._pools.setdefault(record.event_id, default).seed(record)

    def release(
        self, reservation_id: str, show: str, seats: Sequence[str], quantity: int, key: str = ""
    ) -> SeatAnswer:
        """ReleaseHold, with the danger in the module's docstring."""
        with self._lock:
            key = self._key("release", reservation_id, key)
            if stored := self._stored("release", reservation_id, show, key):
                return replace(stored, result=StockResult.ALREADY)
            effect = Effect(StockResult.NOT_FOUND)
            if seats and show in self._rows:
                effect = self._rows[show].release(reservation_id, seats, all_or_nothing=self._today)
            elif not seats and show in self._pools:
                effect = self._pools[show].release(reservation_id, quantity)
            answer = SeatAnswer(effect.result, effect.seats)
            return self._settle("release", reservation_id, show, quantity, key, effect, answer)

    def commit(
        self, reservation_id: str, show: str, seats: Sequence[str], quantity: int, key: str = ""
    ) -> SeatAnswer:
        """CommitReservation: all of the seats become sold, or none."""
        with self._lock:
            key = self._key("commit", reservation_id, key)
            if stored := self._stored("commit", reservation_id, show, key):
                return stored
            effect = Effect(StockResult.NOT_FOUND)
            if seats and show in self._rows:
                effect = self._rows[show].commit(reservation_id, seats)
            elif not seats and show in self._pools:
                effect = self._pools[show].commit(reservation_id, quantity)
            sold = effect.result in (StockResult.DONE, StockResult.ALREADY)
            order_id = f"ord_{reservation_id}" if sold else ""
            answer = SeatAnswer(effect.result, effect.seats, order_id)
            return self._settle("commit", reservation_id, show, quantity, key, effect, answer)

    def snapshot(self) -> dict[str, Any]:
        """Rows and pools by show, and whether a key may be forgotten, as plain JSON values."""
        with self._lock:
            return {
                "keys_forgotten": self._clock() - self._began >= self._key_ttl,
                "seats": {show: rows.as_dict() for show, rows in self._rows.items()},
                "pools": {show: pool.as_dict() for show, pool in self._pools.items()},
            }

    @property
    def _today(self) -> bool:
        return self.character is Character.TODAY

    def _key(self, op: str, reservation_id: str, given: str) -> str:
        return f"{op}:{reservation_id}" if self._today else given

    def _stored(self, op: str, reservation_id: str, show: str, key: str) -> SeatAnswer | None:
        at, stored = self._answers.get(key, (0.0, None)) if key else (0.0, None)
        if stored is None or self._clock() - at >= self._key_ttl:
            return None
        self._journal.write(op, reservation_id, REPLAY, key=key, show=show, seats=stored.seats)
        return replace(stored, replay=True)

    def _settle(
        self,
        op: str,
        reservation_id: str,
        show: str,
        quantity: int,
        key: str,
        effect: Effect,
        answer: SeatAnswer,
    ) -> SeatAnswer:
        # Only effects are remembered: a refusal changed nothing that could happen twice.
        if key and effect.result is StockResult.DONE:
            self._answers[key] = (self._clock(), answer)
        self._journal.write(
            op,
            reservation_id,
            _OUTCOMES.get((op, effect.result), REFUSED),
            key=key,
            show=show,
            seats=effect.seats,
            quantity=len(effect.seats) or quantity,
            before=effect.before,
            after=effect.after,
        )
        return answer
