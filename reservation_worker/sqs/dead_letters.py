"""The dead-letter queue: which one it is now, and how letters are sent to it."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from reservation_worker.errors import SqsError
from reservation_worker.sqs.batches import Attributes, fit, message, without_last_mark
from reservation_worker.sqs.calls import SqsCalls
from reservation_worker.sqs.facts import DeadLetterQueue, QueueFacts, dead_letter_arn
from reservation_worker.sqs.identity import identity

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

NO_QUEUE = frozenset({"NonExistentQueue", "QueueDoesNotExist"})
"""Error codes of a queue that does not exist."""
NO_DLQ, DLQ_IS_ITSELF = "NoDeadLetterQueue", "DeadLetterQueueIsTheQueue"
"""Our own codes."""
TOO_LONG = frozenset({"InvalidParameterValue", "MessageTooLong"})
"""Error codes of a message that is too large for its queue, among others."""


class DeadLetters:
    """`url` is the queue's; `dlq_url` its DLQ's, None: the RedrivePolicy names it."""

    def __init__(self, calls: SqsCalls, url: str, dlq_url: str | None) -> None:
        self._calls = calls
        self._url = url
        self._given = dlq_url
        self._known: DeadLetterQueue | None = None

    def queue(self) -> DeadLetterQueue:
        """The DLQ as it was found last, or found now. Raises SqsError."""
        return self._known or self._find()

    def look_up(self, attributes: Mapping[Any, str]) -> DeadLetterQueue:
        """Find the DLQ again; `attributes` are the queue's own, as far as they can be read.

        Raises SqsError. The known DLQ stays in use unless SQS reports clearly that it is gone.
        """
        try:
            self._known = self._look_up(attributes)
        except SqsError as error:
            if error.code in (NO_DLQ, DLQ_IS_ITSELF, *NO_QUEUE):
                self._known = None
            raise
        return self._known

    def send(self, body: str, attributes: Attributes, trace: str | None) -> None:
        """See Queue.dead_letter."""
        try:
            self._send(self.queue(), body, attributes, trace)
        except SqsError as error:
            if error.code not in NO_QUEUE:
                raise
            # The RedrivePolicy may name another queue by now.
            self._send(self._find(), body, attributes, trace)

    def _find(self) -> DeadLetterQueue:
        try:
            attributes = read_attributes(self._calls, self._url)
        except SqsError:
            if self._given is None:
                raise
            attributes = {}
        return self.look_up(attributes)

    def _look_up(self, attributes: Mapping[Any, str]) -> DeadLetterQueue:
        url, arn = self._given, dead_letter_arn(attributes)
        if url is None:
            if arn is None:
                raise SqsError(NO_DLQ, "there is no dead-letter queue")
            url = self._calls.control(partial(url_of, arn))
        try:
            dead = read_attributes(self._calls, url)
        except SqsError as error:
            if error.code in NO_QUEUE:
                raise
            # The policy may allow sending to it, but not reading its attributes.
            dead = {"QueueArn": arn} if arn and self._given is None else {}
        if identity(url, dead).same_as(identity(self._url, attributes)):
            raise SqsError(DLQ_IS_ITSELF, f"the dead-letter queue {url} is the queue itself")
        facts = QueueFacts.read(dead)
        return DeadLetterQueue(url, facts.arn, facts.max_bytes)

    def _send(
        self, dlq: DeadLetterQueue, body: str, attributes: Attributes, trace: str | None
    ) -> None:
        """Send with as many of our marks as fit; the known limit may be out of date."""
        fitting = fit(body, attributes, dlq.max_bytes)
        letter = message(body, fitting, trace)
        try:
            self._calls.control(lambda client: client.send_message(QueueUrl=dlq.url, **letter))
        except SqsError as error:
            fewer = without_last_mark(fitting)
            if error.code not in TOO_LONG or fewer is None:
                raise
            self._send(dlq, body, fewer, trace)


def url_of(arn: str, client: "SQSClient") -> str:
    """The URL of a queue, by its ARN. Raises boto3's errors."""
    account, name = arn.split(":")[-2:]
    return client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]


def read_attributes(calls: SqsCalls, url: str) -> Mapping[Any, str]:
    """All attributes of a queue. Raises SqsError."""
    answer = calls.control(
        lambda client: client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    )
    return answer.get("Attributes", {})
