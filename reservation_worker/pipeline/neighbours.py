"""The neighbours as a handler calls them: under lease, breaker, deadline and span."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from reservation_worker.clients.ports import (
    CallContext,
    Inventory,
    Reservation,
    ReservationApi,
    Seats,
    StatusAnswer,
    StatusChange,
)
from reservation_worker.errors import PermanentError, TransientError
from reservation_worker.observability.tracing import Trace, Tracing
from reservation_worker.pipeline.breakers import Breakers
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.leases import Leases
from reservation_worker.resilience.evidence import Evidence

INVENTORY = "inventory"
RESERVATION_API = "reservation_api"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GuardedNeighbours:
    """The handlers' Neighbours for one delivery; `trace` is handed on with each call.

    `timeout` bounds one call, in seconds. inventory-svc forgets an idempotency key after `key_ttl`
    seconds; 0: never. `clock` gives monotonic seconds. Every call raises LeaseLost, LeaseTooShort
    or BreakerOpen if it may not start, and the errors of the neighbour's port.
    """

    delivery: Delivery
    trace: Trace
    reservation_api: ReservationApi
    inventory: Inventory
    breakers: Breakers
    evidence: Evidence
    leases: Leases
    tracing: Tracing
    timeout: float
    key_ttl: float
    clock: Callable[[], float]

    def update_status(self, change: StatusChange) -> StatusAnswer:
        """The PATCH of reservation-api."""
        return self._call(
            RESERVATION_API,
            "update_status_http",
            lambda call: self.reservation_api.update_status(change, call),
        )

    def get(self, reservation_id: str) -> Reservation | None:
        """The GET of reservation-api."""
        return self._call(
            RESERVATION_API,
            "get_reservation_http",
            lambda call: self.reservation_api.get(reservation_id, call),
        )

    def release(self, seats: Seats, reason: str) -> None:
        """ReleaseHold of inventory-svc."""
        self._call(
            INVENTORY,
            "release_hold_grpc",
            lambda call: self.inventory.release(seats, reason, call),
        )

    def commit(self, seats: Seats, payment_intent_id: str, user_id: str) -> str | None:
        """CommitReservation of inventory-svc."""
        return self._call(
            INVENTORY,
            "commit_reservation_grpc",
            lambda call: self.inventory.commit(seats, payment_intent_id, user_id, call),
        )

    def key_may_be_forgotten(self, replayed: bool) -> bool:
        """Whether a release that starts now may come after its key was forgotten.

        That is so if an earlier try may have released long ago. `replayed`: the PATCH was answered
        as to a replay (docs/contract.md#quantity-releases).
        """
        message = self.delivery.message
        if self.key_ttl == 0 or not (replayed or message.receive_count > 1):
            return False
        since = message.since_first_receive if message.receive_count > 1 else message.since_sent
        # A call may take effect as late as its timeout.
        age = self.delivery.elapsed(self.clock() + self.timeout, since)
        return age is None or age >= self.key_ttl

    def _call(self, neighbour: str, span: str, call: Callable[[CallContext], T]) -> T:
        lease, breaker = self.delivery.lease, self.breakers.of(neighbour)
        # The breaker is asked after a renewal, which may take seconds.
        timeout = self.leases.begin_call(lease, self.timeout)
        try:
            ticket = breaker.admit()
            # None: a bug of ours, or a client that the stop closed, is no answer of the neighbour.
            ok: bool | None = None
            try:
                with self.tracing.call_span(span, self.trace) as headers:
                    left = partial(self.leases.call_left, lease)
                    answer = call(CallContext(timeout, headers, left))
                ok = True
                return answer
            except TransientError as error:
                # With any code: if most messages get it, the trouble is the neighbour's.
                ok, error.neighbour = False, neighbour
                raise
            except PermanentError:
                ok = True
                raise
            finally:
                if ok is not None:
                    breaker.record(ticket, self.delivery.message.id, ok)
                if ok:
                    self.evidence.add(neighbour, self.delivery.message.id)
        finally:
            self.leases.end_call(lease)
