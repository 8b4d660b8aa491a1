"""The calls that the settlement rules may make to the neighbours, and their answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

FINAL_STATES = frozenset({"CONFIRMED", "CANCELLED", "EXPIRED"})
OPEN_STATES = frozenset({"PENDING", "HOLD"})


@dataclass(frozen=True, slots=True)
class CallContext:
    """The context of one call: its time limit in seconds and the trace headers to send.

    `left` returns how much of the limit is left, or raises if the call may not start any more.
    """

    timeout: float
    headers: tuple[tuple[str, str], ...] = ()
    left: Callable[[], float] | None = None

    def begin(self) -> float:
        """The seconds that the call may take from now on; call it right before sending.

        A thread may be held up for any time between the check of the lease and the call.
        """
        return self.timeout if self.left is None else self.left()


@dataclass(frozen=True, slots=True)
class StatusChange:
    """The PATCH of reservation-api: the state to reach and its further fields."""

    reservation_id: str
    status: str
    payment_intent_id: str | None = None
    order_id: str | None = None
    cancel_reason: str | None = None
    error_code: str | None = None


@dataclass(frozen=True, slots=True)
class StatusAnswer:
    """How reservation-api answered the PATCH.

    `done` is false for a 409 and its equivalents; `status` is then the present state, or None if
    the answer does not name it.
    """

    done: bool
    status: str | None = None
    payment_intent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
    """A reservation as `GET /internal/reservations/{id}` shows it; None: absent or unusable."""

    status: str | None = None
    event_id: str | None = None
    seat_ids: tuple[str, ...] | None = None
    quantity: int | None = None
    payment_intent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Seats:
    """The show and seats of an inventory call. No seat_ids: general admission."""

    reservation_id: str
    event_id: str
    seat_ids: tuple[str, ...]
    quantity: int


class ReservationApi(Protocol):
    """reservation-api, the arbiter. Both calls raise TransientError."""

    def update_status(self, change: StatusChange, call: CallContext) -> StatusAnswer:
        """PATCH the state. Raises PermanentError for a permanent refusal."""
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
