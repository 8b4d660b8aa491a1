"""The queue as the worker sees it: what SQS hands out and takes back, without its wire details."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from reservation_worker.errors import SqsError
from reservation_worker.sqs import session as aws
from reservation_worker.sqs.batches import BatchFailure, failures, message, plain
from reservation_worker.sqs.facts import QueueFacts, dead_letter_arn

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import MessageTypeDef


READ_MARGIN = 5.0
"""How many seconds longer than its wait a receive may take before it counts as hanging."""

_COUNTS: "list[QueueAttributeNameType]" = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery of one message. `sent_at` is Unix seconds; `receive_count` starts at 1."""

    id: str
    receipt: str
    body: str
    attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    receive_count: int = 1
    sent_at: float | None = None
    trace_header: str | None = None


@dataclass(frozen=True, slots=True)
class Depths:
    """How many messages there are, as SQS estimates it; `dead`: in the DLQ, None if unknown."""

    visible: int
    in_flight: int
    delayed: int
    dead: int | None


class Queue(Protocol):
    """What the pipeline needs of SQS. Every method raises SqsError."""

    def receive(self, limit: int, wait: int) -> list[Message]:
        """At most `limit` messages, after waiting at most `wait` seconds for the first."""
        ...

    def delete(self, receipts: Sequence[str]) -> dict[int, BatchFailure]:
        """Delete up to BATCH messages; the failures by position."""
        ...

    def change_visibility(self, receipts: Sequence[str], seconds: int) -> dict[int, BatchFailure]:
        """Make up to BATCH messages visible again in `seconds`; the failures by position."""
        ...

    def dead_letter(self, body: str, attributes: Mapping[str, Any], trace: str | None) -> None:
        """Send a copy to the dead-letter queue; without one that is an SqsError too."""
        ...

    def depths(self) -> Depths:
        """How many messages are in the queue and in its dead-letter queue."""
        ...


class SqsQueue:
    """SQS by boto3: one client for receives, one for all else, both shared by all threads.

    They are separate because botocore's retry quota is one a client, and because a receive must
    not be retried by botocore: the lost answer's messages would be nobody's until they time out.
    Making it raises ConfigurationError for AWS_* variables that boto3 can't work with.
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
        self._dlq_url = dlq_url
        self._dlq_arn: str | None = None
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
        with aws.explained():
            session = aws.session(region, control)
            self._receiver: SQSClient = session.client(
                "sqs", endpoint_url=endpoint_url, config=receive
            )
            self._control: SQSClient = session.client(
                "sqs", endpoint_url=endpoint_url, config=control
            )

    def describe(self) -> QueueFacts:
        """Read the queue's attributes. Raises SqsError."""
        answer = _call(
            lambda: self._control.get_queue_attributes(QueueUrl=self._url, AttributeNames=["All"])
        )
        attributes = answer.get("Attributes", {})
        self._dlq_arn = dead_letter_arn(attributes)
        return QueueFacts.read(attributes)

    def find_dlq(self) -> str:
        """The DLQ's URL: the one given, else by the RedrivePolicy. Raises SqsError if none."""
        if self._dlq_url is None:
            if self._dlq_arn is None:
                self.describe()  # the attributes may not have been readable at the start
            if self._dlq_arn is None:
                raise SqsError("NoDeadLetterQueue", "there is no dead-letter queue")
            account, name = self._dlq_arn.split(":")[-2:]
            self._dlq_url = _call(
                lambda: self._control.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
            )["QueueUrl"]
        return self._dlq_url

    def depths(self) -> Depths:
        """See Queue."""
        visible, in_flight, delayed = self._counts(self._url)
        try:
            dead: int | None = sum(self._counts(self.find_dlq()))
        except SqsError:
            dead = None  # there is none, or it is not ours to look at
        return Depths(visible, in_flight, delayed, dead)

    def _counts(self, url: str) -> list[int]:
        answer = _call(
            lambda: self._control.get_queue_attributes(QueueUrl=url, AttributeNames=_COUNTS)
        )
        attributes: Mapping[Any, str] = answer.get("Attributes", {})
        return [int(attributes.get(name) or 0) for name in _COUNTS]

    def receive(self, limit: int, wait: int) -> list[Message]:
        """See Queue. No VisibilityTimeout is passed: the queue's own is the lease."""
        answer = _call(
            lambda: self._receiver.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=limit,
                WaitTimeSeconds=wait,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=[
                    "ApproximateReceiveCount",
                    "SentTimestamp",
                    "AWSTraceHeader",
                ],
            )
        )
        return [_message(raw) for raw in answer.get("Messages", [])]

    def delete(self, receipts: Sequence[str]) -> dict[int, BatchFailure]:
        """See Queue. Entry ids are positions: two copies of a message may be in one batch."""
        return failures(
            _call(
                lambda: self._control.delete_message_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(position), "ReceiptHandle": receipt}
                        for position, receipt in enumerate(receipts)
                    ],
                )
            )
        )

    def change_visibility(self, receipts: Sequence[str], seconds: int) -> dict[int, BatchFailure]:
        """See Queue."""
        return failures(
            _call(
                lambda: self._control.change_message_visibility_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {
                            "Id": str(position),
                            "ReceiptHandle": receipt,
                            "VisibilityTimeout": seconds,
                        }
                        for position, receipt in enumerate(receipts)
                    ],
                )
            )
        )

    def dead_letter(self, body: str, attributes: Mapping[str, Any], trace: str | None) -> None:
        """See Queue. `attributes` are in SQS's own form; `trace` is the AWSTraceHeader."""
        url = self.find_dlq()
        _call(lambda: self._control.send_message(QueueUrl=url, **message(body, attributes, trace)))

    def close(self) -> None:
        """Close the connections of both clients."""
        self._receiver.close()
        self._control.close()


def _call(call: Callable[[], T]) -> T:
    try:
        return call()
    except ClientError as error:
        details = error.response.get("Error", {})
        raise SqsError(plain(details.get("Code")), str(error)) from error
    except (BotoCoreError, OSError, ValueError) as error:
        raise SqsError(type(error).__name__, str(error)) from error


def _message(raw: "MessageTypeDef") -> Message:
    system = raw.get("Attributes", {})
    sent = system.get("SentTimestamp")
    return Message(
        id=raw.get("MessageId", ""),
        receipt=raw.get("ReceiptHandle", ""),
        body=raw.get("Body", ""),
        attributes=raw.get("MessageAttributes", {}),
        receive_count=int(system.get("ApproximateReceiveCount", 1)),
        sent_at=int(sent) / 1000 if sent else None,
        trace_header=system.get("AWSTraceHeader"),
    )
