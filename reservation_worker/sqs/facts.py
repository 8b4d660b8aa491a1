"""What the queue is like, and whether it fits the worker: judged at start and by `doctor`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

DEFAULT_VISIBILITY = 30
"""The visibility timeout to count on where the queue's own can't be read, in seconds."""

WANTED_VISIBILITY = 60
WANTED_RECEIVES = 30
DAY = 86_400
WANTED_RETENTION = 4 * DAY

HOPELESS = "VisibilityTimeout is 0 s: nothing can be handled, every message is lost at once"
"""The one misfit that the worker can't live with."""


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """The attributes of the queue that the worker works by; seconds where it is a time."""

    visibility: int = DEFAULT_VISIBILITY
    max_receive_count: int | None = None
    retention: int | None = None

    @classmethod
    def read(cls, attributes: Mapping[Any, str]) -> Self:
        """From what GetQueueAttributes answers."""
        count = _redrive(attributes).get("maxReceiveCount")
        retention = attributes.get("MessageRetentionPeriod")
        return cls(
            visibility=int(attributes.get("VisibilityTimeout") or DEFAULT_VISIBILITY),
            max_receive_count=int(count) if count is not None else None,
            retention=int(retention) if retention else None,
        )


def dead_letter_arn(attributes: Mapping[Any, str]) -> str | None:
    """The DLQ that the queue's RedrivePolicy names."""
    return _redrive(attributes).get("deadLetterTargetArn")


def _redrive(attributes: Mapping[Any, str]) -> dict[str, Any]:
    policy: dict[str, Any] = json.loads(attributes.get("RedrivePolicy") or "{}")
    return policy


def misfits(facts: QueueFacts, call_timeout: float, max_retries: int) -> list[str]:
    """What of the queue does not fit and what that will cost, a sentence each."""
    found = []
    if facts.visibility == 0:
        found.append(HOPELESS)
    elif facts.visibility < call_timeout:
        found.append(
            f"VisibilityTimeout is {facts.visibility} s, shorter than one call"
            f" ({call_timeout:g} s): slow calls are cut short and tried again"
        )
    elif facts.visibility < WANTED_VISIBILITY:
        found.append(
            f"VisibilityTimeout is {facts.visibility} s, {WANTED_VISIBILITY} is wanted: slow"
            " messages cost an extra SQS call each to keep, and a short freeze of the worker loses"
            " them to another pod"
        )
    if facts.max_receive_count is None:
        found.append(
            "the queue has no RedrivePolicy: a message that crashes the worker comes back until"
            " its retention ends"
        )
    elif facts.max_receive_count < WANTED_RECEIVES:
        given = min(max_retries + 1, facts.max_receive_count)
        found.append(
            f"maxReceiveCount is {facts.max_receive_count}, {WANTED_RECEIVES} is wanted: a message"
            f" gets {given} of {max_retries + 1} tries, and an outage or a few crashes let SQS move"
            " it to the dead-letter queue without a reason"
        )
    if facts.retention is not None and facts.retention < WANTED_RETENTION:
        found.append(
            f"MessageRetentionPeriod is {facts.retention / DAY:g} days, {WANTED_RETENTION // DAY}"
            " are wanted: an outage that lasts longer loses events"
        )
    elif facts.retention is not None and facts.retention > WANTED_RETENTION:
        found.append(
            f"MessageRetentionPeriod is {facts.retention / DAY:g} days, {WANTED_RETENTION // DAY}"
            " are wanted: what SQS itself moves to the dead-letter queue keeps its age, and may be"
            " gone there before anybody looks"
        )
    return found
