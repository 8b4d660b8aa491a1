"""The outcome of a handled message as data; pipeline.completer carries it out."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class DeadLetterReason(StrEnum):
    """The only values of the `dlq_reason` attribute (docs/contract.md#dead-letters)."""

    INVALID_PAYLOAD = "invalid_payload"
    PERMANENT_ERROR = "permanent_error"
    RETRIES_EXHAUSTED = "retries_exhausted"
    COMPENSATION_REQUIRED = "compensation_required"


SUPERSEDED = "superseded"
"""The note of an event that came too late: another event has settled its reservation."""


@dataclass(frozen=True, slots=True)
class Ack:
    """Delete the message. `note` and `warning` are for the log.

    `seat_ids` are the seats that inventory was asked to move.
    """

    note: str = "settled"
    dropped: bool = False
    warning: str | None = None
    order_id: str | None = None
    seat_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Retry:
    """Give the message back. `at_least` is the shortest delay, in seconds, that a neighbour wants.

    The reasons in UNTRIED do not count as a try. `failed` names the neighbour that failed, or our
    own code. `beyond_tries`: the tries are used up, but there is no evidence that the failure is
    the message's own.
    """

    error: str
    at_least: float = 0.0
    reason: Literal["neighbour", "breaker", "lease", "bug"] = "neighbour"
    failed: str = ""
    beyond_tries: bool = False


@dataclass(frozen=True, slots=True)
class Reject:
    """Move the message to the dead-letter queue, then delete it."""

    reason: DeadLetterReason
    error: str


@dataclass(frozen=True, slots=True)
class Completed:
    """A completed delivery, as the watchers of outcomes see it.

    `label` is the metrics' `type`, `counted` their `outcome`. `seconds` runs from the receive to
    the outcome, which came `at` (Unix seconds). `reason` is the dlq_reason, or the Retry's.
    """

    message_id: str
    label: str
    event_type: str
    reservation_id: str | None
    event_id: str | None
    payment_intent_id: str | None
    user_id: str | None
    trace_id: str | None
    counted: str
    note: str
    attempt: int
    seconds: float
    at: float
    reason: str | None = None
    error: str | None = None


Outcome = Ack | Retry | Reject

UNTRIED = frozenset({"breaker", "lease"})
