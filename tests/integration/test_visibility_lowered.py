"""The queue's visibility timeout is lowered under a running worker, on a real SQS process."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from reservation_worker import bootstrap
from reservation_worker.clients.ports import StatusChange
from reservation_worker.clock import awake
from reservation_worker.errors import LeaseLost
from reservation_worker.events.kinds import Kind
from reservation_worker.outcome import Ack
from reservation_worker.simulator.processes.sqs import SqsProcess
from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION, sqs_client
from reservation_worker.simulator.sqs.provision import create_queues
from reservation_worker.sqs.watch import AttributeWatch
from tests.fake_queue import event_body, eventually, sample
from tests.integration.worker_rig import SETTINGS, Neighbour, Work


class Rig:
    """A worker that reads the attributes every 0.1 s instead of every 60 s, and a second one."""

    def __init__(self, sqs: SqsProcess) -> None:
        self.client = sqs_client(sqs.url)
        self.url, _ = create_queues(self.client, visibility=60)
        self.work, self.neighbour = Work(), Neighbour()
        self.worker = bootstrap.build(
            replace(SETTINGS, sqs_queue_url=self.url, sqs_region=REGION, sqs_wait_time=0),
            reservation_api=self.neighbour,  # type: ignore[arg-type]
            inventory=self.neighbour,  # type: ignore[arg-type]
            handlers=dict.fromkeys(Kind, self.work),
        )

    def lower(self, seconds: int) -> None:
        self.client.set_queue_attributes(
            QueueUrl=self.url, Attributes={"VisibilityTimeout": str(seconds)}
        )

    def send(self, reservation: str) -> None:
        self.client.send_message(
            QueueUrl=self.url, MessageBody=event_body("reservation.expired", reservation)
        )

    def another_receives(self) -> bool:
        """Whether another worker can receive a message now; it then stays hidden."""
        answer = self.client.receive_message(
            QueueUrl=self.url, WaitTimeSeconds=1, VisibilityTimeout=600
        )
        return "Messages" in answer


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(bootstrap, "AttributeWatch", partial(AttributeWatch, every=0.1))
    with SqsProcess() as sqs:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", sqs.url)
        for name, value in CREDENTIALS.items():
            monkeypatch.setenv(name, value)
        made = Rig(sqs)
        yield made
        made.work.let_go()
        made.worker.stop()


def test_no_call_starts_under_a_lease_that_a_lowered_visibility_has_ended(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    change = StatusChange("rsv_1", "EXPIRED")
    rig.work.then = lambda event, neighbours: Ack(str(neighbours.update_status(change)))
    rig.work.stand_still("rsv_1")
    # The renewal is stalled, so only the end of the lease can prevent the second call.
    monkeypatch.setattr(rig.worker.pipeline.leases, "tick", lambda: None)
    # Received with the new timeout, but the worker assumes the old one until it reads the
    # attributes again.
    rig.lower(1)
    rig.worker.start()
    rig.send("rsv_1")
    eventually(lambda: rig.work.began)
    # The copy is for the other worker.
    rig.worker.pipeline.poller.stop()
    eventually(lambda: rig.worker.pipeline.leases.visibility == 1)
    eventually(rig.another_receives)
    [running] = rig.worker.pipeline.dispatcher.running()
    eventually(lambda: awake() >= running.lease.deadline)
    rig.work.let_go()
    eventually(lambda: rig.work.errors)
    assert [type(error) for error in rig.work.errors] == [LeaseLost]
    assert rig.neighbour.patched == []
    eventually(lambda: sample(rig.worker.metrics, "worker_leases_lost_total") == 1)
