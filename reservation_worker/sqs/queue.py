"""The queue as the worker sees it: what SQS hands out and takes back, without its wire details."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from reservation_worker.errors import SqsError
from reservation_worker.sqs import session as aws
from reservation_worker.sqs.batches import (
    Attributes,
    BatchFailure,
    failures,
    fit,
    message,
    plain,
    without_last_mark,
)
from reservation_worker.sqs.facts import DeadLetterQueue, QueueFacts, dead_letter_arn
from reservation_worker.sqs.identity import identity

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import MessageTypeDef


READ_MARGIN = 5.0
"""How many seconds longer than its wait a receive may take before it counts as hanging."""

NO_QUEUE = frozenset({"NonExistentQueue", "QueueDoesNotExist"})
"""Codes of a queue that is not there (any more)."""
NO_DLQ, DLQ_IS_ITSELF = "NoDeadLetterQueue", "DeadLetterQueueIsTheQueue"
"""Our own codes."""
TOO_LONG = frozenset({"InvalidParameterValue", "MessageTooLong"})
"""Codes of a message that is larger than its queue takes, among others."""

_COUNTS: "list[QueueAttributeNameType]" = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery of one message; `receive_count` starts at 1.

    `sent_at` and `first_received_at` are Unix seconds, None where SQS did not name them.
    """

    id: str
    receipt: str
    body: str
    attributes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    receive_count: int = 1
    sent_at: float | None = None
    trace_header: str | None = None
    first_received_at: float | None = None


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

    def dead_letter(self, body: str, attributes: Attributes, trace: str | None) -> None:
        """Send a copy to the dead-letter queue; without one that is an SqsError too.

        Where it is too large for that queue, the last of the attributes named dlq_* are left out.
        `trace` is the AWSTraceHeader.
        """
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
        self._dlq: DeadLetterQueue | None = None
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
        """Read the queue's attributes and look its DLQ up anew. Raises SqsError.

        A DLQ that can't be found is no error here: see QueueFacts.
        """
        attributes = self._attributes(self._url)
        facts = QueueFacts.read(attributes)
        try:
            return replace(facts, dlq=self._look_up_dlq(attributes))
        except SqsError as error:
            if error.code in (NO_DLQ, DLQ_IS_ITSELF, *NO_QUEUE):
                self._dlq = None
            itself = error.code == DLQ_IS_ITSELF
            return replace(facts, dlq_problem=str(error), dlq_is_itself=itself)

    def find_dlq(self) -> DeadLetterQueue:
        """The DLQ as it is now: the one given, else by the RedrivePolicy. Raises SqsError."""
        try:
            attributes = self._attributes(self._url)
        except SqsError:
            if self._dlq_url is None:
                raise
            attributes = {}
        return self._look_up_dlq(attributes)

    def _look_up_dlq(self, attributes: Mapping[Any, str]) -> DeadLetterQueue:
        """`attributes` are the queue's own, as far as they can be read."""
        url, arn = self._dlq_url, dead_letter_arn(attributes)
        if url is None:
            if arn is None:
                raise SqsError(NO_DLQ, "there is no dead-letter queue")
            account, name = arn.split(":")[-2:]
            url = self._call(
                lambda: self._control.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
            )["QueueUrl"]
        try:
            dead = self._attributes(url)
        except SqsError as error:
            if error.code in NO_QUEUE:
                raise
            # It may be ours to send to, but not to look at.
            dead = {} if self._dlq_url or arn is None else {"QueueArn": arn}
        if identity(url, dead).same_as(identity(self._url, attributes)):
            raise SqsError(DLQ_IS_ITSELF, f"the dead-letter queue {url} is the queue itself")
        facts = QueueFacts.read(dead)
        self._dlq = DeadLetterQueue(url, facts.arn, facts.max_bytes)
        return self._dlq

    def _attributes(self, url: str) -> Mapping[Any, str]:
        answer = self._call(
            lambda: self._control.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        )
        return answer.get("Attributes", {})

    def depths(self) -> Depths:
        """See Queue."""
        visible, in_flight, delayed = self._counts(self._url)
        try:
            dead: int | None = sum(self._counts((self._dlq or self.find_dlq()).url))
        except SqsError:
            dead = None  # there is none, or it is not ours to look at
        return Depths(visible, in_flight, delayed, dead)

    def _counts(self, url: str) -> list[int]:
        answer = self._call(
            lambda: self._control.get_queue_attributes(QueueUrl=url, AttributeNames=_COUNTS)
        )
        attributes: Mapping[Any, str] = answer.get("Attributes", {})
        return [int(attributes.get(name) or 0) for name in _COUNTS]

    def receive(self, limit: int, wait: int) -> list[Message]:
        """See Queue. No VisibilityTimeout is passed: the queue's own is the lease."""
        answer = self._call(
            lambda: self._receiver.receive_message(
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
        return [_message(raw) for raw in answer.get("Messages", [])]

    def delete(self, receipts: Sequence[str]) -> dict[int, BatchFailure]:
        """See Queue. Entry ids are positions: two copies of a message may be in one batch."""
        return failures(
            self._call(
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
            self._call(
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

    def dead_letter(self, body: str, attributes: Attributes, trace: str | None) -> None:
        """See Queue."""
        dlq = self._dlq or self.find_dlq()
        try:
            self._send(dlq, body, attributes, trace)
        except SqsError as error:
            if error.code not in NO_QUEUE:
                raise
            # The RedrivePolicy may name another one by now.
            self._send(self.find_dlq(), body, attributes, trace)

    def _send(
        self, dlq: DeadLetterQueue, body: str, attributes: Attributes, trace: str | None
    ) -> None:
        """Send with as many of our marks as fit; the limit known may not be the limit of now."""
        fitting = fit(body, attributes, dlq.max_bytes)
        while True:
            letter = message(body, fitting, trace)
            try:
                self._call(partial(self._control.send_message, QueueUrl=dlq.url, **letter))
                return
            except SqsError as error:
                fewer = without_last_mark(fitting)
                if error.code not in TOO_LONG or fewer is None:
                    raise
                fitting = fewer

    @staticmethod
    def _call(call: Callable[[], T]) -> T:
        try:
            return call()
        except ClientError as error:
            details = error.response.get("Error", {})
            raise SqsError(plain(details.get("Code")), str(error)) from error
        except (BotoCoreError, OSError, ValueError) as error:
            raise SqsError(type(error).__name__, str(error)) from error

    def close(self) -> None:
        """Close the connections of both clients."""
        self._receiver.close()
        self._control.close()


def _message(raw: "MessageTypeDef") -> Message:
    system = raw.get("Attributes", {})
    sent = system.get("SentTimestamp")
    first = system.get("ApproximateFirstReceiveTimestamp")
    return Message(
        id=raw.get("MessageId", ""),
        receipt=raw.get("ReceiptHandle", ""),
        body=raw.get("Body", ""),
        attributes=raw.get("MessageAttributes", {}),
        receive_count=int(system.get("ApproximateReceiveCount", 1)),
        sent_at=int(sent) / 1000 if sent else None,
        first_received_at=int(first) / 1000 if first else None,
        trace_header=system.get("AWSTraceHeader"),
    )
