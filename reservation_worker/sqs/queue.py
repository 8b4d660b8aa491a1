"""The queue as the worker uses it, without SQS's wire details."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol

from botocore.config import Config

from reservation_worker.errors import SqsError
from reservation_worker.sqs.batches import Attributes, BatchFailure, failures, receipt_entries
from reservation_worker.sqs.calls import SqsCalls
from reservation_worker.sqs.dead_letters import DLQ_IS_ITSELF, DeadLetters, read_attributes
from reservation_worker.sqs.facts import QueueFacts
from reservation_worker.sqs.rights import Rights

if TYPE_CHECKING:
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import MessageTypeDef, ReceiveMessageResultTypeDef


READ_MARGIN = 5.0
"""A receive that takes so many seconds longer than its wait hangs."""

_COUNTS: "list[QueueAttributeNameType]" = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
]


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery of one message; `receive_count` starts at 1.

    `since_sent` and `since_first_receive` are seconds until this delivery by SQS's clock, None if
    SQS left the time out.
    """

    id: str
    receipt: str
    body: str
    attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    receive_count: int = 1
    since_sent: float | None = None
    trace_header: str | None = None
    since_first_receive: float | None = None


@dataclass(frozen=True, slots=True)
class Depths:
    """SQS's estimate of how many messages there are; `dead`: in the DLQ, None if unknown."""

    visible: int
    in_flight: int
    delayed: int
    dead: int | None


class Queue(Protocol):
    """The operations of SQS that the pipeline uses. Every method raises SqsError."""

    def receive(self, limit: int, wait: int) -> list[Message]:
        """At most `limit` messages, after waiting at most `wait` seconds for the first."""
        ...

    def delete(self, receipts: Sequence[str]) -> dict[int, BatchFailure]:
        """Delete up to BATCH messages; returns the failures by position."""
        ...

    def change_visibility(self, receipts: Sequence[str], seconds: int) -> dict[int, BatchFailure]:
        """Make up to BATCH messages visible in `seconds`; returns the failures by position."""
        ...

    def dead_letter(self, body: str, attributes: Attributes, trace: str | None) -> None:
        """Send a copy to the dead-letter queue; raises SqsError also if there is none.

        If it is too large for that queue, the last attributes named dlq_* are left out.
        `trace` is the AWSTraceHeader.
        """
        ...

    def depths(self) -> Depths:
        """How many messages are in the queue and in its dead-letter queue."""
        ...


class SqsQueue:
    """SQS by boto3; thread-safe.

    The constructor raises ConfigurationError for AWS_* variables that boto3 can't work with.
    Credentials may come later, or change: see RenewedClients.
    """

    def __init__(
        self,
        url: str,
        region: str,
        wait: int,
        connections: int,
        dlq_url: str | None = None,
        endpoint_url: str | None = None,
    ) -> None:
        self._url = url
        control = Config(
            connect_timeout=2,
            read_timeout=READ_MARGIN,
            retries={"total_max_attempts": 2, "mode": "standard"},
            max_pool_connections=connections,
        )
        receive = Config(
            connect_timeout=READ_MARGIN,
            read_timeout=wait + READ_MARGIN,
            retries={"total_max_attempts": 1},
        )
        self._calls = SqsCalls(region, receive, control, endpoint_url)
        self._dead_letters = DeadLetters(self._calls, url, dlq_url)
        self._rights = Rights()

    def describe(self) -> QueueFacts:
        """Read the queue's attributes and look up its DLQ again. Raises SqsError.

        A DLQ that can't be found is no error here: see QueueFacts.
        """
        attributes = read_attributes(self._calls, self._url)
        facts = QueueFacts.read(attributes)
        try:
            return replace(facts, dlq=self._dead_letters.look_up(attributes))
        except SqsError as error:
            itself = error.code == DLQ_IS_ITSELF
            return replace(facts, dlq_problem=str(error), dlq_is_itself=itself)

    def depths(self) -> Depths:
        """See Queue."""
        visible, in_flight, delayed = self._counts(self._url)
        try:
            dead: int | None = sum(self._counts(self._dead_letters.queue().url))
        except SqsError:
            dead = None  # there is none, or its attributes may not be read
        return Depths(visible, in_flight, delayed, dead)

    def _counts(self, url: str) -> list[int]:
        answer = self._calls.control(
            lambda client: client.get_queue_attributes(QueueUrl=url, AttributeNames=_COUNTS)
        )
        attributes: Mapping[Any, str] = answer.get("Attributes", {})
        return [int(attributes.get(name) or 0) for name in _COUNTS]

    def receive(self, limit: int, wait: int) -> list[Message]:
        """See Queue. No VisibilityTimeout is passed: the queue's own is the lease."""
        answer = self._calls.receiver(
            lambda client: client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=limit,
                WaitTimeSeconds=wait,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=[
                    "ApproximateReceiveCount",
                    "SentTimestamp",
                    "ApproximateFirstReceiveTimestamp",
                    "AWSTraceHeader",
                ],
            )
        )
        raws = answer.get("Messages")
        if not raws:
            return []
        now = _sqs_time(answer)
        return [_message(raw, now) for raw in raws]

    def delete(self, receipts: Sequence[str]) -> dict[int, BatchFailure]:
        """See Queue."""
        entries = receipt_entries(receipts)
        with self._rights.noted("sqs:DeleteMessage", "the queue") as failed:
            answer = self._calls.control(
                lambda client: client.delete_message_batch(QueueUrl=self._url, Entries=entries)
            )
            failed.update(failures(answer))
        return failed

    def change_visibility(self, receipts: Sequence[str], seconds: int) -> dict[int, BatchFailure]:
        """See Queue."""
        entries = receipt_entries(receipts, VisibilityTimeout=seconds)
        with self._rights.noted("sqs:ChangeMessageVisibility", "the queue") as failed:
            answer = self._calls.control(
                lambda client: client.change_message_visibility_batch(
                    QueueUrl=self._url, Entries=entries
                )
            )
            failed.update(failures(answer))
        return failed

    def dead_letter(self, body: str, attributes: Attributes, trace: str | None) -> None:
        """See Queue."""
        with self._rights.noted("sqs:SendMessage", "the dead-letter queue"):
            self._dead_letters.send(body, attributes, trace)

    def refused(self) -> dict[str, str]:
        """The actions that AWS refused for lack of rights, each with a sentence."""
        return self._rights.refused()

    def close(self) -> None:
        """Close the connections."""
        self._calls.close()


def _sqs_time(answer: "ReceiveMessageResultTypeDef") -> float:
    """SQS's own time in Unix seconds, rounded up; this machine's, if the answer has none.

    Ages of messages are the difference of two readings of one clock: the machine's may be wrong.
    """
    try:
        date = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, ValueError, OverflowError):
        return time.time()
    return date.timestamp() + 1


def _message(raw: "MessageTypeDef", now: float) -> Message:
    system = raw.get("Attributes", {})

    def since(timestamp: str | None) -> float | None:
        return max(0.0, now - int(timestamp) / 1000) if timestamp else None

    return Message(
        id=raw.get("MessageId", ""),
        receipt=raw.get("ReceiptHandle", ""),
        body=raw.get("Body", ""),
        attributes=raw.get("MessageAttributes", {}),
        receive_count=int(system.get("ApproximateReceiveCount", 1)),
        since_sent=since(system.get("SentTimestamp")),
        since_first_receive=since(system.get("ApproximateFirstReceiveTimestamp")),
        trace_header=system.get("AWSTraceHeader"),
    )
