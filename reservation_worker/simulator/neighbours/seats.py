"""inventory-svc's state: the owner of each seat; a key takes effect once.

It has the real service's known danger: ReleaseHold frees every requested seat whose row carries the
reservation's id, *sold ones included*, and only the key guards a release by quantity. The ledger
records its effects; reconcile/ checks them.

Today's service writes its key after the effect. Here both happen at once, because the worker could
not close that gap anyway.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.neighbours.journal import APPLIED, REPLAY, Journal
from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.neighbours.stock import Effect, Pool, Rows, StockResult

# Large enough that an undeclared pool never sells out by accident.
DEFAULT_POOL = 1_000_000


class SeatLedger:
    """Rows and pools by show. A key is stored together with its effect, under one lock.

    It is forgotten after `key_ttl` seconds of `clock`.
    """

    def __init__(
        self,
        journal: Journal,
        character: Character,
        key_ttl: float,
        clock: Callable[[], float],
    ) -> None:
        self._journal = journal
        self.character = character
        self._key_ttl = key_ttl
        self._clock = clock
        self._began = clock()
        self._lock = threading.Lock()
        self._rows: dict[str, Rows] = {}
        self._pools: dict[str, Pool] = {}
        self._effects: dict[str, tuple[float, Effect]] = {}

    def add_pool(self, show: str, capacity: int) -> None:
        """Declare a show's general admission."""
        with self._lock:
            self._pools[show] = Pool(capacity, capacity)

    def seed(self, record: Record) -> None:
        """Give a reservation the places that its state implies: held, sold or none."""
        with self._lock:
            if record.seat_ids:
                rows = Rows(all_or_nothing=self.character is Character.TODAY)
                self._rows.setdefault(record.event_id, rows).seed(record)
            else:
                default = Pool(DEFAULT_POOL, DEFAULT_POOL)
                self._pools.setdefault(record.event_id, default).seed(record)

    def release(
        self, reservation_id: str, show: str, seats: Sequence[str], quantity: int, key: str = ""
    ) -> Effect:
        """ReleaseHold, with the danger in the module's docstring."""
        return self._once("release", reservation_id, show, seats, quantity, key)

    def commit(
        self, reservation_id: str, show: str, seats: Sequence[str], quantity: int, key: str = ""
    ) -> Effect:
        """CommitReservation: all of the seats become sold, or none."""
        return self._once("commit", reservation_id, show, seats, quantity, key)

    def snapshot(self) -> dict[str, Any]:
        """Rows and pools by show, and whether a key may be forgotten, as plain JSON values."""
        with self._lock:
            return {
                "keys_forgotten": self._clock() - self._began >= self._key_ttl,
                "seats": {show: rows.as_dict() for show, rows in self._rows.items()},
                "pools": {show: pool.as_dict() for show, pool in self._pools.items()},
            }

    def _once(
        self,
        op: str,
        reservation_id: str,
        show: str,
        seats: Sequence[str],
        quantity: int,
        key: str,
    ) -> Effect:
        """The effect of this call or, if its key is known, that of the key's first call."""
        with self._lock:
            if self.character is Character.TODAY:
                key = f"{op}:{reservation_id}"
            at, effect = self._effects.get(key, (0.0, None))
            if effect is not None and self._clock() - at < self._key_ttl:
                outcome, effect = REPLAY, replace(effect, replay=True)
            else:
                effect = self._act(op, reservation_id, show, seats, quantity)
                done = effect.result is StockResult.DONE
                outcome = APPLIED if done else effect.result.value
                # Only effects are remembered: a refusal changed nothing that could happen twice.
                if done and key:
                    self._effects[key] = (self._clock(), effect)
            self._journal.write(
                op,
                reservation_id,
                outcome,
                key=key,
                show=show,
                seats=effect.seats,
                quantity=len(effect.seats) or quantity,
                before=effect.before,
                after=effect.after,
            )
            return effect

    def _act(
        self, op: str, reservation_id: str, show: str, seats: Sequence[str], quantity: int
    ) -> Effect:
        stock = self._rows.get(show) if seats else self._pools.get(show)
        if stock is None:
            return Effect(StockResult.NOT_FOUND)
        act = stock.release if op == "release" else stock.commit
        return act(reservation_id, seats, quantity)
