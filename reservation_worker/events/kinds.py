"""The kinds of event that the worker settles: one declaration each (docs/event-kinds.md).

The parser, the settlement, the metrics' labels, the notifications, `publish`, the simulator and the
development stack's EventBridge rule are derived from this table. Tests hold k8s/aws/queues.yaml and
docs/contract.md to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


@dataclass(frozen=True, slots=True)
class Commit:
    """The seats are sold (CommitReservation)."""


@dataclass(frozen=True, slots=True)
class Release:
    """The seats become free (ReleaseHold); `reason` is one of docs/contract.md#inventory."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Declaration:
    """Everything that the worker and its tools know about one kind of event.

    `label` is the value of the metrics' labels `type` and `handler`. `aliases` are other types and
    detail-types with the same meaning; `payment_statuses` are the statuses of a payment status
    update with the same meaning (docs/contract.md#variants).

    `target` is the state that reservation-api is asked for, and `seats` is what inventory-svc does
    after that. `money_taken`: the customer has paid, so the event is handled before others, a final
    refusal means `compensation_required` instead of `permanent_error`, and the PATCH names payment
    and order. With a `cancel_reason` the PATCH carries it and the event's error_code.

    `notification` is the type of the SNS notification. `source` is the producer. `sample` is what
    `publish` and the simulator put into `detail` besides the reservation's own fields.
    """

    event_type: str
    label: str
    aliases: tuple[str, ...] = ()
    payment_statuses: tuple[str, ...] = ()
    target: str
    seats: Commit | Release
    money_taken: bool = False
    cancel_reason: str | None = None
    notification: str
    source: str
    sample: Mapping[str, Any] = field(default_factory=dict)

    @property
    def types(self) -> tuple[str, ...]:
        """Every type and detail-type of this kind, the canonical one first."""
        return (self.event_type, *self.aliases)


class Kind(Enum):
    """The table: a member is a kind, its value the declaration."""

    EXPIRED = Declaration(
        event_type="reservation.expired",
        label="expired",
        aliases=("reservation.hold.expired", "ReservationExpired"),
        target="EXPIRED",
        seats=Release("EXPIRED"),
        notification="reservation_expired",
        source="reservation-api",
    )
    APPROVED = Declaration(
        event_type="payment.approved",
        label="approved",
        aliases=("PaymentApproved",),
        payment_statuses=("PAYMENT_STATUS_COMPLETED", "PAYMENT_STATUS_APPROVED"),
        target="CONFIRMED",
        seats=Commit(),
        money_taken=True,
        notification="reservation_confirmed",
        source="payment-sim-api",
        sample={"payment_intent_id": "pay_abc", "amount": 120_000, "currency": "KRW"},
    )
    FAILED = Declaration(
        event_type="payment.failed",
        label="failed",
        aliases=("PaymentFailed",),
        payment_statuses=(
            "PAYMENT_STATUS_FAILED",
            "PAYMENT_STATUS_CANCELLED",
            "PAYMENT_STATUS_EXPIRED",
        ),
        target="CANCELLED",
        seats=Release("FAILED_PAYMENT"),
        cancel_reason="payment_failed",
        notification="payment_failed",
        source="payment-sim-api",
        sample={
            "payment_intent_id": "pay_abc",
            "amount": 120_000,
            "currency": "KRW",
            "error_code": "CARD_DECLINED",
            "error_message": "카드 한도 초과",
        },
    )

    @property
    def event_type(self) -> str:
        """The canonical type."""
        # Of each event: `value` itself is a slow property.
        return self._value_.event_type

    @property
    def label(self) -> str:
        """The value of the metrics' labels `type` and `handler`."""
        return self._value_.label

    def __str__(self) -> str:
        return self.label


PAYMENT_STATUS_TYPES = ("Payment Status Updated", "payment.status_updated")
"""The types of payment-sim-api's own event: its `status` decides the kind."""

NO_EVENT = (
    "PAYMENT_STATUS_PENDING",
    "PAYMENT_STATUS_PROCESSING",
    "PAYMENT_STATUS_REFUNDED",
    "PAYMENT_STATUS_UNSPECIFIED",
)
"""The payment statuses with nothing to do, unless a kind declares one of them as its own."""

BY_TYPE = {name: kind for kind in Kind for name in kind.value.types}
"""Each kind by each of its types."""

BY_LABEL = {kind.label: kind for kind in Kind}

BY_PAYMENT_STATUS: Mapping[str, Kind | None] = dict.fromkeys(NO_EVENT) | {
    status: kind for kind in Kind for status in kind.value.payment_statuses
}
"""None: nothing to do."""

DETAIL_TYPES = (*BY_TYPE, *PAYMENT_STATUS_TYPES)
"""What an EventBridge rule must let through to the queue."""
