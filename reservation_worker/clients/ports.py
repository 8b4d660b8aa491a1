"""What the settlement rules may ask of the neighbours, and what the answers look like."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

FINAL_STATES = frozenset({"CONFIRMED", "CANCELLED", "EXPIRED"})
OPEN_STATES = frozenset({"PENDING", "HOLD"})


@dataclass(frozen=True, slots=True)
class CallContext:
    """What one call carries: its time limit in seconds and the trace headers to hand on.

    `left` returns how much of the limit is left, or raises because the call may not start any more.
    """

    timeout: float
    headers: tuple[tuple[str, str], ...] = ()
    left: Callable[[], float] | None = None

    def begin(self) -> float:
        """The seconds that the call may take from now on; to be asked right before it is sent.

        Between the check of the lease and the call a thread may be held up for any time.
        """
        return self.timeout if self.left is None else self.left()


@dataclass(frozen=True, slots=True)
class StatusChange:
    """The PATCH of reservation-api: the state to reach and what goes with it."""

    reservation_id: str
    status: str
    payment_intent_id: str | None = None
    order_id: str | None = None
    cancel_reason: str | None = None
    error_code: str | None = None


@dataclass(frozen=True, slots=True)
class StatusAnswer:
    """How reservation-api answered the PATCH.

    `done` is false for a 409 and its equals; `status` is then the present state as far as the
    answer tells (None: it does not).
    """

    done: bool
    status: str | None = None
    payment_intent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reservation as `GET /internal/reservations/{id}` shows it; None: not (usably) there."""

    status: str | None = None
    event_id: str | None = None
    seat_ids: tuple[str, ...] | None = None
    quantity: int | None = None
    payment_intent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Seats:
    """Which seats of which show an inventory call is about. No seat_ids: general admission."""

    reservation_id: str
    event_id: str
    seat_ids: tuple[str, ...]
    quantity: int


class ReservationApi(Protocol):
    """reservation-api, the arbiter. Both calls raise TransientError."""

    def update_status(self, change: StatusChange, call: CallContext) -> StatusAnswer:
        """PATCH the state. Raises PermanentError when the answer is no for good."""
        ...

    def get(self, reservation_id: str, call: CallContext) -> Reservation | None:
        """The reservation now; None when the API answered, but nothing usable."""
        ...

    def probe(self, timeout: float) -> None:
        """Touch no message: raises TransientError unless reached within `timeout` seconds."""
        ...


class Inventory(Protocol):
    """inventory-svc. Both calls raise TransientError or PermanentError."""

    def release(self, seats: Seats, reason: str, call: CallContext) -> None:
        """ReleaseHold; returns when the hold is gone, by this call or an earlier one."""
        ...

    def commit(
        self, seats: Seats, payment_intent_id: str, user_id: str, call: CallContext
    ) -> str | None:
        """CommitReservation; returns the order_id if the answer names one."""
        ...

    def probe(self, timeout: float) -> None:
        """Touch no message: raises TransientError unless reached within `timeout` seconds."""
        ...
