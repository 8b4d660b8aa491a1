"""The DLQ and its source queue, and two clients: one tries again by itself, one does not."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.config import Config

from reservation_worker.cli import operator_aws
from reservation_worker.errors import OperationError
from reservation_worker.sqs import session as aws

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from reservation_worker.config.settings import Settings

BATCH = 10
"""The most entries of a batch: SQS's limit."""
MAX_BYTES = 1_048_576
"""Of a message and of a batch, attributes counted: SQS's limit."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why SQS refused an entry of a batch; `passing`: another try may help."""

    why: str
    passing: bool


@dataclass(frozen=True, slots=True)
class Queues:
    """`once` is for receives and sends: when their answer is lost, what they did is not known."""

    again: "SQSClient"
    once: "SQSClient"
    source: str
    dlq: str

    def send(self, url: str, messages: Sequence[Mapping[str, Any]]) -> dict[int, Failure]:
        """Send a batch; the failures by position. Raises OperationError.

        Sent is only what the answer says so of: on its word a dead letter is deleted.
        """
        entries: Any = [{"Id": str(at), **message} for at, message in enumerate(messages)]
        with operator_aws.asking(f"send to {url}"):
            answer = self.once.send_message_batch(QueueUrl=url, Entries=entries)
        sent = {int(one["Id"]) for one in answer.get("Successful", [])}
        unnamed = set(range(len(entries))) - sent
        return dict.fromkeys(unnamed, Failure("the answer does not name it", False)) | failures(
            answer
        )

    def counts(self) -> tuple[int, int]:
        """How many messages the DLQ has visible, and how many not. Raises OperationError."""
        with operator_aws.asking(f"read the attributes of {self.dlq}"):
            answer = self.again.get_queue_attributes(QueueUrl=self.dlq, AttributeNames=["All"])
        found: Mapping[Any, str] = answer.get("Attributes", {})
        names = ("", "NotVisible", "Delayed")
        visible, held, delayed = (
            int(found.get(f"ApproximateNumberOfMessages{name}", 0)) for name in names
        )
        return visible, held + delayed


def connect(settings: "Settings") -> Queues:
    """Find both queues. Raises ConfigurationError and OperationError."""
    session = operator_aws.session(settings.sqs_region)
    with aws.explained():
        again: SQSClient = session.client("sqs")
        # Each try of its own might have been carried out: a message sent twice, or one received
        # by nobody.
        once: SQSClient = session.client("sqs", config=Config(retries={"total_max_attempts": 1}))
    source = settings.sqs_queue_url
    dlq = settings.sqs_dlq_url or _dlq_of(again, source)
    for url in (source, dlq):
        if url.endswith(".fifo"):
            raise OperationError(f"{url} is a FIFO queue: the worker and this verb need standard")
    return Queues(again, once, source, dlq)


def _dlq_of(client: "SQSClient", source: str) -> str:
    with operator_aws.asking(f"read the attributes of {source}"):
        answer = client.get_queue_attributes(QueueUrl=source, AttributeNames=["RedrivePolicy"])
    policy = json.loads(answer.get("Attributes", {}).get("RedrivePolicy") or "{}")
    arn = policy.get("deadLetterTargetArn")
    if arn is None:
        raise OperationError(f"{source} has no redrive policy: name its DLQ by --dlq-url")
    account, name = arn.split(":")[-2:]
    with operator_aws.asking(f"find the queue {name}"):
        return client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]


def failures(answer: Any) -> dict[int, Failure]:
    """What a batch's answer says of the entries that failed, by position."""
    return {
        int(one["Id"]): Failure(
            f"{one.get('Code', 'failed')} {one.get('Message', '')}".strip(),
            not one.get("SenderFault"),
        )
        for one in answer.get("Failed", [])
    }


def message(
    body: str, attributes: Mapping[str, Mapping[str, Any]], trace_header: str | None
) -> dict[str, Any]:
    """A message as an entry of SendMessageBatch, without its Id."""
    system = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace_header}}
    return {
        "MessageBody": body,
        "MessageAttributes": dict(attributes),
        "MessageSystemAttributes": system if trace_header else {},
    }


def size(body: str, attributes: Mapping[str, Mapping[str, Any]]) -> int:
    """Bytes as SQS counts them: the body, and each attribute's name, type and value."""
    return len(body.encode()) + sum(
        len(name.encode())
        + len(value.get("DataType", "").encode())
        + len(value.get("StringValue", "").encode())
        + len(value.get("BinaryValue", b""))
        for name, value in attributes.items()
    )


def batches(
    items: Iterable[tuple[T, int]], most: int = BATCH, most_bytes: int = MAX_BYTES
) -> Iterator[list[T]]:
    """In order: at most `most` items of at most `most_bytes` together; items come with sizes."""
    batch: list[T] = []
    weight = 0
    for item, item_size in items:
        if batch and (len(batch) == most or weight + item_size > most_bytes):
            yield batch
            batch, weight = [], 0
        batch.append(item)
        weight += item_size
    if batch:
        yield batch
