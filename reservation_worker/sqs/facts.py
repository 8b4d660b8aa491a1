"""The queue's attributes, and whether they fit the worker: for the watch and for `doctor`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from reservation_worker.sqs.batches import MAX_BYTES
from reservation_worker.sqs.identity import FIFO

UNKNOWN_VISIBILITY = 10
"""The visibility timeout that is assumed until the queue's own is known, in seconds."""

WANTED_VISIBILITY = 60
WANTED_RECEIVES = 30
DAY = 86_400
WANTED_RETENTION = 4 * DAY

HOPELESS = "VisibilityTimeout is 0 s: nothing can be handled, so nothing is received"
"""The one misfit with which the worker can't work."""


@dataclass(frozen=True, slots=True)
class DeadLetterQueue:
    """The queue that dead letters go to. `arn` is None if it can't be read."""

    url: str
    arn: str | None = None
    max_bytes: int = MAX_BYTES


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """The attributes of the queue that the worker depends on; times are in seconds.

    The defaults hold until the attributes are known. `dlq` is None if there is none or it can't be
    found; then `dlq_problem` gives the reason, and `dlq_is_itself` whether it is the queue.
    """

    visibility: int = UNKNOWN_VISIBILITY
    max_receive_count: int | None = None
    retention: int | None = None
    max_bytes: int = MAX_BYTES
    arn: str | None = None
    fifo: bool = False
    dlq: DeadLetterQueue | None = None
    dlq_problem: str = ""
    dlq_is_itself: bool = False

    @classmethod
    def read(cls, attributes: Mapping[Any, str]) -> Self:
        """From the answer to GetQueueAttributes, without the DLQ."""
        count = str(_redrive(attributes).get("maxReceiveCount"))
        retention = attributes.get("MessageRetentionPeriod")
        return cls(
            visibility=int(attributes.get("VisibilityTimeout") or UNKNOWN_VISIBILITY),
            max_receive_count=int(count) if count.isdecimal() else None,
            retention=int(retention) if retention else None,
            max_bytes=int(attributes.get("MaximumMessageSize") or MAX_BYTES),
            arn=attributes.get("QueueArn"),
            fifo=attributes.get("FifoQueue") == "true",
        )


def dead_letter_arn(attributes: Mapping[Any, str]) -> str | None:
    """The DLQ that the queue's RedrivePolicy names."""
    arn = str(_redrive(attributes).get("deadLetterTargetArn"))
    return arn if arn.count(":") == 5 else None


def _redrive(attributes: Mapping[Any, str]) -> dict[str, Any]:
    """The RedrivePolicy; empty if there is none, or if it is no JSON object."""
    try:
        policy = json.loads(attributes.get("RedrivePolicy", ""))
    except ValueError:
        return {}
    return policy if isinstance(policy, dict) else {}


def refusals(facts: QueueFacts) -> list[str]:
    """The reasons why the worker must not work on the queue, a sentence each."""
    found = []
    if facts.fifo:
        found.append(f"SQS_QUEUE_URL is a FIFO queue: {FIFO}; name a standard queue.")
    if facts.dlq_is_itself:
        found.append(
            f"{facts.dlq_problem}: poison would come back at once and for ever; name another one"
            " in SQS_DLQ_URL or in the RedrivePolicy."
        )
    return found


def misfits(facts: QueueFacts, call_timeout: float, max_retries: int) -> list[str]:
    """The attributes that do not fit and their cost, a sentence each."""
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
    if facts.dlq_problem and not facts.dlq_is_itself:
        found.append(f"what fails for good stays in the queue, unsettled: {facts.dlq_problem}")
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
