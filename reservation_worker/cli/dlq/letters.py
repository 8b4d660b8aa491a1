"""A dead letter as SQS hands it out, and the facts that can be read from it."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from reservation_worker.errors import InvalidEvent
from reservation_worker.events.parse import Event, Ignored, parse
from reservation_worker.outcome import DeadLetterReason
from reservation_worker.sqs.batches import MARK
from reservation_worker.sqs.identity import QueueIdentity

SQS_REDRIVE = "sqs_redrive"
"""The reason of a message that SQS itself moved: it was received maxReceiveCount times."""
OTHER = "other"
REASONS = (*DeadLetterReason, SQS_REDRIVE, OTHER)

IGNORED = "nothing_to_do"
INVALID = "invalid"
"""The types of messages that are no event to settle."""

_FAR = 2.0**33
"""The year 2242: not every time that an attribute holds is a date."""


@dataclass(frozen=True)
class Letter:
    """One message of a DLQ. `attributes` are in SQS's own form, `sent_at` is in Unix seconds."""

    id: str
    body: str
    attributes: Mapping[str, Mapping[str, Any]]
    trace_header: str | None
    sent_at: float
    receive_count: int
    source_arn: str | None = None
    """Of the queue that SQS itself moved it from; None for a message that somebody sent."""

    @classmethod
    def of(cls, raw: Any) -> "Letter":
        """From a message as boto3 returns it."""
        system = raw.get("Attributes", {})
        return cls(
            raw["MessageId"],
            raw.get("Body", ""),
            {name: value_of(value) for name, value in raw.get("MessageAttributes", {}).items()},
            system.get("AWSTraceHeader"),
            int(system.get("SentTimestamp", 0)) / 1000,
            int(system.get("ApproximateReceiveCount", 1)),
            system.get("DeadLetterQueueSourceArn"),
        )

    @property
    def moved_from(self) -> str | None:
        """The name of the queue that SQS itself moved it from; None: somebody sent it."""
        return QueueIdentity.of_arn(self.source_arn).name if self.source_arn else None

    def other_queue(self, source: str | None) -> str | None:
        """The queue that it belongs to if that is not the one at the URL `source`.

        A letter that a worker sent names no queue; it counts as one of `source`.
        """
        if self.source_arn is None or source is None:
            return None
        own = QueueIdentity.of_arn(self.source_arn).same_as(QueueIdentity.of_url(source))
        return None if own else self.moved_from

    @property
    def origin_unknown(self) -> bool:
        """Neither SQS nor a worker has written where it comes from."""
        return self.source_arn is None and not any(
            name.startswith(MARK) for name in self.attributes
        )

    def text(self, name: str) -> str | None:
        """A string attribute; None where it is not there or empty."""
        return self.attributes.get(name, {}).get("StringValue") or None

    @property
    def reason(self) -> str:
        """One of REASONS."""
        given = self.text("dlq_reason")
        if given is None:
            return SQS_REDRIVE
        return given if given in set(DeadLetterReason) else OTHER

    @property
    def source_id(self) -> str:
        """The id in the source queue. SQS's own redrive keeps it."""
        return self.text("dlq_source_message_id") or self.id

    @cached_property
    def since(self) -> float:
        """When it was dead-lettered, in Unix seconds; by SQS's own redrive: when it was sent."""
        try:
            stamp = datetime.fromisoformat(self.text("dlq_time") or "")
        except ValueError:
            return self.sent_at
        seconds = (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp()
        return seconds if 0 <= seconds < _FAR else self.sent_at

    @cached_property
    def event(self) -> Event | Ignored | InvalidEvent:
        """The event that the worker reads from the body, or why it can't."""
        try:
            return parse(self.body)
        except InvalidEvent as error:
            return error

    @property
    def type(self) -> str:
        """The canonical type of its event, IGNORED or INVALID."""
        if isinstance(self.event, Event):
            return self.event.kind.event_type
        return IGNORED if isinstance(self.event, Ignored) else INVALID

    @property
    def reservation_id(self) -> str | None:
        """Of the event, if it has a usable one."""
        return None if isinstance(self.event, InvalidEvent) else self.event.reservation_id

    @property
    def producers(self) -> dict[str, dict[str, Any]]:
        """The attributes without ours."""
        return without_ours(self.attributes)

    @cached_property
    def origin(self) -> tuple[str, bytes]:
        """Equal for copies of one message, and only for them: a source id alone may be forged."""
        return self.source_id, hashlib.sha256(self.body.encode()).digest()


def value_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """An attribute as it is sent."""
    parts = ("DataType", "StringValue", "BinaryValue")
    return {part: value[part] for part in parts if part in value}


def without_ours(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The producer's attributes, ready to be sent."""
    return {name: dict(value) for name, value in attributes.items() if not name.startswith(MARK)}


def by_origin(letters: Iterable[Letter]) -> list[list[Letter]]:
    """The copies of each message together, in order of appearance."""
    found: dict[tuple[str, bytes], list[Letter]] = {}
    for letter in letters:
        found.setdefault(letter.origin, []).append(letter)
    return list(found.values())
