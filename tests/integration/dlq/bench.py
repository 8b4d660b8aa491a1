"""A queue and its DLQ on a real SQS server, and the verb `dlq` run on them."""

import io
import itertools
import json
from typing import Any

import pytest

from reservation_worker.cli.dlq.holds import Holds
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.dlq.queues import Queues, connect
from reservation_worker.cli.main import main
from reservation_worker.config.settings import Settings
from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION
from reservation_worker.simulator.sqs.provision import create_queues
from tests.world import World

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
NUMBERS = itertools.count()


class Bench:
    """A queue and its DLQ, new for each test, and the verb run on them."""

    def __init__(
        self, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.world = world
        self.client = world.client
        self.capsys = capsys
        self.monkeypatch = monkeypatch
        self.queue, self.dlq = create_queues(world.client, name=f"q{next(NUMBERS)}")
        for name, value in {
            **CREDENTIALS,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": world.sqs.url,
            "SQS_QUEUE_URL": self.queue,
            "RESERVATION_API_BASE": world.neighbours.reservation_base,
        }.items():
            monkeypatch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL_SQS", "SQS_DLQ_URL"):
            monkeypatch.delenv(name, raising=False)

    def run(self, *args: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        self.capsys.readouterr()
        code = main(["dlq", *args])
        out, err = self.capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    def type(self, *answers: str) -> None:
        """Set the lines that a person will type."""
        text = "".join(f"{one}\n" for one in answers)
        self.monkeypatch.setattr("sys.stdin", io.StringIO(text))

    def send(self, body: str, trace: str | None = None, **attributes: str | bytes) -> str:
        """A dead letter."""
        system: Any = {"AWSTraceHeader": {"DataType": "String", "StringValue": TRACE}}
        return self.client.send_message(
            QueueUrl=self.dlq,
            MessageBody=body,
            MessageAttributes={
                name: {"DataType": "Binary", "BinaryValue": value}
                if isinstance(value, bytes)
                else {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
            MessageSystemAttributes=system if trace else {},
        )["MessageId"]

    def fill(self, count: int, **attributes: str) -> list[str]:
        """So many dead letters; their bodies."""
        bodies = [event(rid=f"rsv_{number}") for number in range(count)]
        for body in bodies:
            self.send(body, **attributes)
        return bodies

    def counts(self, url: str | None = None) -> tuple[int, int]:
        """Visible and hidden, of the queue at `url`, by default the DLQ."""
        return self.world.counts(url or self.dlq)

    def take(self, url: str) -> list[Any]:
        """All that is visible, deleted."""
        found: list[Any] = []
        while messages := self.client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages"):
            for message in messages:
                self.client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found += messages
        return found

    def queues(self, endpoint: str | None = None) -> Queues:
        """As the verb finds them; by another endpoint if given."""
        if endpoint:
            self.monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        settings = {"SQS_QUEUE_URL": self.queue, "AWS_REGION": REGION}
        return connect(Settings.from_mapping(settings), self.queue)


def event(type_: str = "reservation.expired", rid: str = "rsv_1", **detail: Any) -> str:
    fields = {"reservation_id": rid, "event_id": "show", "seat_ids": [f"S-{rid}"], **detail}
    return json.dumps({"type": type_, "detail": fields})


def holding(queues: Queues, **more: Any) -> tuple[Holds, list[Letter]]:
    """All messages, held."""
    holds = Holds(queues, **more)
    letters = []
    while raws := holds.receive(0):
        letters += [Letter.of(raw) for raw in raws]
    return holds, letters


def go_on(seconds: float) -> bool:
    return False
