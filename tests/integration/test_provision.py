"""The provisioning of the development stack: an event put on the bus arrives on the queue."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from reservation_worker.events.parse import parse
from reservation_worker.simulator.processes.child import Child
from reservation_worker.simulator.processes.sqs import SqsProcess
from reservation_worker.simulator.sqs import provision
from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION, sqs_client
from reservation_worker.simulator.story.variants import variants

EVENT = {
    "id": "evt_1",
    "type": "payment.approved",
    "source": "payment-sim-api",
    "detail": {"reservation_id": "rsv_1", "payment_intent_id": "pay_1"},
    "time": "2025-01-23T10:00:00Z",
}


@pytest.fixture(scope="module")
def sqs() -> Iterator[SqsProcess]:
    with SqsProcess() as made:
        yield made


class Provision(Child):
    name = "provision"


def provisioned(endpoint: str) -> str:
    """Run the command and return its output."""
    command = [sys.executable, "-m", provision.__name__, f"--endpoint-url={endpoint}"]
    with Provision(command) as child:
        assert child.wait(60) == 0, child.tail()
        return child.stdout.read_text()


def test_an_event_on_the_bus_arrives_on_the_queue_also_after_a_second_run(sqs: SqsProcess) -> None:
    provisioned(sqs.url)
    said = dict(line.rsplit(" ", 1) for line in provisioned(sqs.url).splitlines())
    keys: dict[str, Any] = {name.lower(): text for name, text in CREDENTIALS.items()}
    events = boto3.client("events", endpoint_url=sqs.url, region_name=REGION, **keys)
    sent = [EVENT | {"type": "somebody.elses"}, EVENT]
    bodies = [json.loads(variants(EVENT)["eventbridge"]) | {"detail-type": e["type"]} for e in sent]
    events.put_events(
        Entries=[
            {
                "EventBusName": said["bus"],
                "Source": body["source"],
                "DetailType": body["detail-type"],
                "Detail": json.dumps(body["detail"]),
            }
            for body in bodies
        ]
    )
    answer = sqs_client(sqs.url).receive_message(
        QueueUrl=said["queue"], MaxNumberOfMessages=10, WaitTimeSeconds=10
    )
    [message] = answer["Messages"]
    assert getattr(parse(message["Body"]), "reservation_id", None) == "rsv_1"


def test_an_unreachable_emulator_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert provision.main(["--endpoint-url=http://127.0.0.1:9", "--patience=0"]) == 1
    assert "no SQS at http://127.0.0.1:9" in capsys.readouterr().err
