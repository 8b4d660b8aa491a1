"""The DLQ and its source queue, and two clients: one tries again by itself, one does not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from reservation_worker.cli import operator_aws
from reservation_worker.errors import OperationError
from reservation_worker.sqs import session as aws
from reservation_worker.sqs.batches import BatchFailure, failures
from reservation_worker.sqs.facts import dead_letter_arn
from reservation_worker.sqs.identity import QueueIdentity, identity

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from reservation_worker.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Queues:
    """`once` is for receives and sends: when their answer is lost, what they did is not known."""

    again: "SQSClient"
    once: "SQSClient"
    source: str
    dlq: str

    def send(self, url: str, messages: Sequence[Mapping[str, Any]]) -> dict[int, BatchFailure]:
        """Send a batch; the failures by position. Raises OperationError.

        Sent is only what the answer says so of: on its word a dead letter is deleted.
        """
        entries: Any = [{"Id": str(at), **message} for at, message in enumerate(messages)]
        with operator_aws.asking(f"send to {url}"):
            answer = self.once.send_message_batch(QueueUrl=url, Entries=entries)
        sent = {int(one["Id"]) for one in answer.get("Successful", [])}
        unnamed = set(range(len(entries))) - sent
        silent = BatchFailure("Unanswered", True, "the answer does not name it")
        return dict.fromkeys(unnamed, silent) | failures(answer)

    def counts(self) -> tuple[int, int]:
        """How many messages the DLQ has visible, and how many not. Raises OperationError."""
        found = _attributes(self.again, self.dlq)
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
    # Only equal names need a closer look, which costs calls and rights.
    one, other = (QueueIdentity.of_url(url) for url in (source, dlq))
    if one.name == other.name and _identity(again, source).same_as(_identity(again, dlq)):
        raise OperationError(f"{dlq} is the queue itself, not its DLQ: name another by --dlq-url")
    return Queues(again, once, source, dlq)


def _attributes(client: "SQSClient", url: str) -> Mapping[Any, str]:
    with operator_aws.asking(f"read the attributes of {url}"):
        answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    return answer.get("Attributes", {})


def _identity(client: "SQSClient", url: str) -> QueueIdentity:
    try:
        return identity(url, _attributes(client, url))
    except OperationError:
        return QueueIdentity.of_url(url)


def _dlq_of(client: "SQSClient", source: str) -> str:
    arn = dead_letter_arn(_attributes(client, source))
    if arn is None:
        raise OperationError(f"{source} has no redrive policy: name its DLQ by --dlq-url")
    account, name = arn.split(":")[-2:]
    with operator_aws.asking(f"find the queue {name}"):
        return client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
