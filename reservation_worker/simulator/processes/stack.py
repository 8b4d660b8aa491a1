"""A whole system on loopback: embedded SQS with both queues, the neighbours, and workers."""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.processes.neighbours import NeighboursProcess
from reservation_worker.simulator.processes.sqs import EXTERNAL_SQS, ExternalSqs, SqsProcess
from reservation_worker.simulator.processes.worker import WorkerProcess
from reservation_worker.simulator.reconcile.report import DeadLetter, Report, reconcile
from reservation_worker.simulator.sqs.emulator import sqs_client
from reservation_worker.simulator.sqs.provision import create_queues
from reservation_worker.simulator.story.scenario import Message, Scenario

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef as Entry

# A batch may hold 256 KiB in older emulators and 1 MiB in SQS; attributes count too.
_BATCH_BYTES = 200_000
_DEPTH = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class Stack:
    """Starts everything except workers; on leaving it ends everything, workers included."""

    def __init__(
        self,
        latency_ms: float = 0,
        jitter_ms: float = 0,
        visibility: int = 60,
        max_receive: int = 30,
        directory: Path | None = None,
        character: Character = Character.CONTRACT,
        key_ttl: float | None = None,
    ) -> None:
        self.character, self._key_ttl = character, key_ttl
        self._exit = ExitStack()
        self._directory = directory
        self._latency = (latency_ms, jitter_ms)
        self._visibility, self.max_receive = visibility, max_receive
        self.queue_url = self.dlq_url = ""

    def __enter__(self) -> Self:
        if self._directory is None:
            temporary = tempfile.TemporaryDirectory(prefix="stack-", ignore_cleanup_errors=True)
            self._directory = Path(self._exit.enter_context(temporary))
        with ExitStack() as undo:
            undo.push(self._exit)
            self.sqs: SqsProcess | ExternalSqs
            if endpoint := os.environ.get(EXTERNAL_SQS):
                self.sqs = ExternalSqs(endpoint)
            else:
                self.sqs = self._exit.enter_context(SqsProcess(self._directory))
            neighbours = NeighboursProcess(
                *self._latency, self._directory, self.character, self._key_ttl
            )
            self.neighbours = self._exit.enter_context(neighbours)
            self.client = sqs_client(self.sqs.url)
            self.queue_url, self.dlq_url = create_queues(
                self.client, self._visibility, self.max_receive, self.sqs.queue_name
            )
            undo.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._exit.__exit__(*error)

    def worker(self, env: Mapping[str, str] | None = None, name: str = "worker") -> WorkerProcess:
        """A worker on this queue, not started; it is ended with the stack at the latest."""
        worker = WorkerProcess(
            self.queue_url,
            self.sqs.url,
            self.neighbours.inventory_address,
            self.neighbours.reservation_base,
            env,
            self._directory,
            name,
        )
        self._exit.callback(worker.stop)
        return worker

    def publish(self, messages: Iterable[Message]) -> None:
        """Send them in order, in batches. Raises RuntimeError when SQS refuses one."""
        for entries in _batches(messages):
            answer = self.client.send_message_batch(QueueUrl=self.queue_url, Entries=entries)
            if failed := answer.get("Failed"):
                raise RuntimeError(f"SQS refused a message: {failed}")

    def depth(self) -> int:
        """How many messages the queue holds: visible, in flight and delayed."""
        answer = self.client.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["All"])
        return sum(int(text) for name, text in answer["Attributes"].items() if name in _DEPTH)

    def dead_letters(self) -> list[DeadLetter]:
        """All dead letters; they stay in their queue and are visible again afterwards."""
        letters: dict[str, DeadLetter] = {}
        receipts: list[str] = []
        while True:
            answer = self.client.receive_message(
                QueueUrl=self.dlq_url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=120,
                MessageAttributeNames=["All"],
            )
            if not answer.get("Messages"):
                break
            for message in answer["Messages"]:
                receipts.append(message["ReceiptHandle"])
                given = message.get("MessageAttributes", {})
                texts = {name: value.get("StringValue", "") for name, value in given.items()}
                letters[message["MessageId"]] = DeadLetter(
                    message["MessageId"],
                    message["Body"],
                    texts.get("dlq_reason", ""),
                    texts.get("dlq_source_message_id", ""),
                    texts.get("dlq_error", ""),
                )
        for receipt in receipts:
            self.client.change_message_visibility(
                QueueUrl=self.dlq_url, ReceiptHandle=receipt, VisibilityTimeout=0
            )
        return list(letters.values())

    def reconcile(self, story: Scenario) -> Report:
        """Reconcile a scenario that was published here."""
        return reconcile(story, self.neighbours.ledger(), self.dead_letters(), self.depth())


def _batches(messages: Iterable[Message]) -> Iterator[list["Entry"]]:
    batch: list[Entry] = []
    size = 0
    for message in messages:
        entry: Entry = {
            "Id": str(len(batch)),
            "MessageBody": message.body,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": value}
                for name, value in message.attributes
            },
        }
        weight = len(json.dumps(entry))
        if batch and (len(batch) == 10 or size + weight > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
            entry["Id"] = "0"
        batch.append(entry)
        size += weight
    if batch:
        yield batch
