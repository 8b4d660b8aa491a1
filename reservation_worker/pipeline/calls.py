"""The neighbours as one handler sees them: every call under lease, breaker, deadline and span."""

from collections.abc import Callable
from dataclasses import dataclass
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
from reservation_worker.errors import NeighbourDown, PermanentError, TransientError
from reservation_worker.observability.tracing import Trace, Tracing
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.gate import Gate
from reservation_worker.pipeline.leases import Leases

INVENTORY = "inventory"
RESERVATION_API = "reservation_api"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caller:
    """What all deliveries' calls share. `timeout` is one call's, in seconds."""

    reservation_api: ReservationApi
    inventory: Inventory
    gate: Gate
    leases: Leases
    tracing: Tracing
    timeout: float
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Calls:
    """The handlers' Neighbours for one delivery; `trace` is handed on with each call.

    Every method raises LeaseLost or BreakerOpen when the call may not start, and what the
    neighbour's port raises.
    """

    caller: Caller
    delivery: Delivery
    trace: Trace

    def update_status(self, change: StatusChange) -> StatusAnswer:
        """The PATCH of reservation-api."""
        api = self.caller.reservation_api
        return self._call(
            RESERVATION_API, "update_status_http", lambda call: api.update_status(change, call)
        )

    def get(self, reservation_id: str) -> Reservation | None:
        """The GET of reservation-api."""
        api = self.caller.reservation_api
        return self._call(
            RESERVATION_API, "get_reservation_http", lambda call: api.get(reservation_id, call)
        )

    def release(self, seats: Seats, reason: str) -> None:
        """ReleaseHold of inventory-svc."""
        inventory = self.caller.inventory
        self._call(
            INVENTORY, "release_hold_grpc", lambda call: inventory.release(seats, reason, call)
        )

    def commit(self, seats: Seats, payment_intent_id: str, user_id: str) -> str | None:
        """CommitReservation of inventory-svc."""
        inventory = self.caller.inventory
        return self._call(
            INVENTORY,
            "commit_reservation_grpc",
            lambda call: inventory.commit(seats, payment_intent_id, user_id, call),
        )

    def _call(self, neighbour: str, span: str, call: Callable[[CallContext], T]) -> T:
        caller, lease = self.caller, self.delivery.lease
        breaker = caller.gate.breaker(neighbour)
        ticket = breaker.admit()
        timeout = caller.leases.begin_call(lease, caller.timeout)
        # Our own bug, or a client closed by the stop, says nothing of the neighbour.
        ok: bool | None = None
        try:
            with caller.tracing.call_span(span, self.trace) as headers:
                answer = call(CallContext(timeout, headers))
            ok = True
            return answer
        except NeighbourDown:
            ok = False
            raise
        except (TransientError, PermanentError):
            ok = True
            raise
        finally:
            caller.leases.end_call(lease)
            if ok is not None:
                breaker.record(ticket, self.delivery.message.id, ok)
