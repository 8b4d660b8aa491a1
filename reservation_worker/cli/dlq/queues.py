"""The DLQ and its source queue, and two clients: one tries again by itself, one does not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from reservation_worker.cli import operator_aws
from reservation_worker.errors import OperationError
from reservation_worker.sqs import session as aws
from reservation_worker.sqs.batches import BatchFailure, failures
from reservation_worker.sqs.dead_letters import url_of
from reservation_worker.sqs.facts import QueueFacts, dead_letter_arn
from reservation_worker.sqs.identity import QueueIdentity, identity

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from reservation_worker.config.settings import Settings


PARALLEL = 8
"""How many calls run at once where thousands are needed: one call is mostly waiting."""


@dataclass(frozen=True, slots=True)
class Look:
    """The DLQ's attributes. `hidden` are messages that another reader has, or that are delayed.

    `max_receives` and `next_queue` (a name) are those of its own RedrivePolicy, None without one.
    """

    visible: int
    hidden: int
    max_receives: int | None = None
    next_queue: str | None = None


@dataclass(frozen=True, slots=True)
class Queues:
    """`source` is None if only the DLQ was named.

    `once` is for receives and sends: if their answer is lost, their effect is not known.
    """

    again: "SQSClient"
    once: "SQSClient"
    source: str | None
    dlq: str

    def known_source(self) -> str:
        """The source queue's URL. Raises OperationError if only the DLQ was named."""
        if self.source is None:
            raise OperationError("the source queue is not known: name it by --queue-url")
        return self.source

    def other_dlq(self) -> str | None:
        """The DLQ's name in the source queue's RedrivePolicy, if that is another than this DLQ.

        None also where it can't be read: the verb does not depend on it.
        """
        if self.source is None:
            return None
        try:
            arn = dead_letter_arn(_attributes(self.again, self.source))
        except OperationError:
            return None
        named = arn and QueueIdentity.of_arn(arn)
        return named.name if named and not named.same_as(QueueIdentity.of_url(self.dlq)) else None

    def send(self, url: str, messages: Sequence[Mapping[str, Any]]) -> dict[int, BatchFailure]:
        """Send a batch; the failures by position. Raises OperationError.

        An entry that the answer does not name counts as not sent: the caller deletes the dead
        letters that were sent.
        """
        entries: Any = [{"Id": str(at), **message} for at, message in enumerate(messages)]
        with operator_aws.asking(f"send to {url}"):
            answer = self.once.send_message_batch(QueueUrl=url, Entries=entries)
        sent = {int(one["Id"]) for one in answer.get("Successful", [])}
        unnamed = set(range(len(entries))) - sent
        silent = BatchFailure("Unanswered", True, "the answer does not name it")
        return dict.fromkeys(unnamed, silent) | failures(answer)

    def look(self) -> Look:
        """Read the DLQ's attributes. Raises OperationError."""
        found = _attributes(self.again, self.dlq)
        names = ("", "NotVisible", "Delayed")
        visible, held, delayed = (
            int(found.get(f"ApproximateNumberOfMessages{name}", 0)) for name in names
        )
        arn, receives = dead_letter_arn(found), QueueFacts.read(found).max_receive_count
        return Look(visible, held + delayed, receives, arn and QueueIdentity.of_arn(arn).name)


def connect(settings: "Settings", source: str | None) -> Queues:
    """Find the DLQ of `source`, which may be None where the settings name the DLQ.

    Raises ConfigurationError and OperationError.
    """
    session = operator_aws.session(settings.sqs_region)
    connections = Config(max_pool_connections=2 * PARALLEL)
    with aws.explained():
        again: SQSClient = session.client("sqs", config=connections)
        # A call that botocore repeats may have been carried out the first time: then the message is
        # sent twice, or received by nobody.
        once: SQSClient = session.client(
            "sqs", config=connections.merge(Config(retries={"total_max_attempts": 1}))
        )
    if source is None:
        if settings.sqs_dlq_url is None:
            raise OperationError("neither the queue nor its DLQ is known: name one of them")
        return Queues(again, once, None, settings.sqs_dlq_url)
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
    with operator_aws.asking(f"find the queue {QueueIdentity.of_arn(arn).name}"):
        return url_of(arn, client)
