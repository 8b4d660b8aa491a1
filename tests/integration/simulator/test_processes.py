"""The simulators as processes: neighbours, queue, stack and child."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
import requests

from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.processes.child import Child, ChildError
from reservation_worker.simulator.processes.neighbours import NeighboursProcess
from reservation_worker.simulator.processes.sqs import SqsProcess
from reservation_worker.simulator.processes.stack import Stack
from reservation_worker.simulator.sqs.emulator import sqs_client
from reservation_worker.simulator.sqs.provision import create_queues
from reservation_worker.simulator.story.scenario import Message
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2 as pb
from reservation_worker.stubs.proto.reservation.v1.inventory_pb2_grpc import InventoryServiceStub
from tests.integration.simulator.inventory import HALL, LAWN, WAIT


def test_the_neighbours_process_is_seeded_switched_and_read_from_outside() -> None:
    with NeighboursProcess() as neighbours:
        neighbours.seed([Record("rsv_1", HALL, ("A1",)), Record("rsv_2", LAWN, quantity=2)])
        url = f"{neighbours.reservation_base}/internal/reservations/rsv_1"
        neighbours.down("reservation")
        assert neighbours.health()["reservation"]["running"] is False
        with pytest.raises(requests.ConnectionError):
            requests.get(url, timeout=WAIT)
        neighbours.clear()
        neighbours.answer("reservation", {"status": 503})
        assert requests.get(url, timeout=WAIT).status_code == 503
        neighbours.hang("inventory", ["rsv_2"])
        neighbours.latency(1, target="inventory")
        with grpc.insecure_channel(neighbours.inventory_address) as channel:
            stub = InventoryServiceStub(channel)  # type: ignore[no-untyped-call]
            request = pb.ReleaseHoldRequest(reservation_id="rsv_1", event_id=HALL, seat_ids=["A1"])
            assert stub.ReleaseHold(request, timeout=WAIT).status == pb.RELEASE_STATUS_SUCCESS
        dump = neighbours.ledger()
        assert [row["op"] for row in dump["journal"]] == ["seed", "seed", "release"]
        assert neighbours.ledger(since=2)["journal"] == dump["journal"][2:]
        assert [len(calls) for calls in neighbours.calls().values()] == [1, 1]
        assert neighbours.health()["inventory"]["latency_ms"] == 1
        with pytest.raises(ChildError, match="rsv_1 is there already"):
            neighbours.seed([Record("rsv_1", HALL, ("A1",))])
        quake = {"target": "both", "fault": "quake"}
        refused = requests.post(f"{neighbours.control_base}/faults", json=quake, timeout=WAIT)
        assert (refused.status_code, "no fault" in refused.text) == (400, True)
        process = neighbours.process
    assert process is not None
    assert process.returncode == 0


def test_the_neighbours_end_when_their_parents_pipe_closes() -> None:
    command = [sys.executable, "-m", "reservation_worker.simulator.neighbours"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert json.loads(process.stdout.readline())["ready"] is True
        process.stdin.close()
        assert process.wait(WAIT) == 0


def test_the_embedded_queue_has_our_attributes_and_survives_a_pause() -> None:
    with SqsProcess() as sqs:
        queue, dead = create_queues(sqs_client(sqs.url), visibility=7, max_receive=3)
        client = sqs_client(sqs.url)
        attributes = client.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])[
            "Attributes"
        ]
        assert attributes["VisibilityTimeout"] == "7"
        policy = json.loads(attributes["RedrivePolicy"])
        assert int(policy["maxReceiveCount"]) == 3
        assert policy["deadLetterTargetArn"].endswith(dead.rsplit("/", 1)[-1])
        assert "127.0.0.1" in queue
        sqs.suspend()
        with pytest.raises(requests.Timeout):
            requests.get(sqs.url, timeout=0.2)
        sqs.resume()
        client.send_message(QueueUrl=queue, MessageBody="still here")
        sqs.kill()
        assert not sqs.alive


def test_a_stack_publishes_in_batches_and_reads_its_dead_letters() -> None:
    with Stack() as stack:
        bodies = ["x" * 150_000, "y" * 150_000, *(str(number) for number in range(25))]
        traced = (("traceparent", "00-aa-bb-01"),)
        messages = [Message(body, "", "poison", "", attributes=traced) for body in bodies]
        stack.publish(messages)
        assert stack.depth() == 27
        assert stack.dead_letters() == []
        stack.client.send_message(
            QueueUrl=stack.dlq_url,
            MessageBody="42",
            MessageAttributes={
                "dlq_reason": {"DataType": "String", "StringValue": "invalid_payload"},
                "dlq_source_message_id": {"DataType": "String", "StringValue": "m-1"},
            },
        )
        (letter,) = stack.dead_letters()
        assert (letter.body, letter.reason, letter.source) == ("42", "invalid_payload", "m-1")
        assert stack.dead_letters() == [letter], "the first look hid the letter from later readers"


def test_a_failed_child_is_reported_with_its_last_output(tmp_path: Path) -> None:
    class Broken(Child):
        name = "broken"

        def _up(self) -> None:
            self.until(lambda: False, WAIT, "come up")

    script = "import sys; print('first'); sys.exit('no such luck')"
    with pytest.raises(ChildError, match=r"exit code 1 before it had come up") as error:
        Broken([sys.executable, "-c", script], directory=tmp_path).start()
    assert "first" in str(error.value)
    assert "no such luck" in str(error.value)


def test_a_child_ends_with_its_block_in_whatever_state_it_is() -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(600)"
    with Child([sys.executable, "-uc", stubborn]) as child:
        child.until(lambda: child.stdout.read_text() == "1\n", WAIT, "started")
        child.suspend()
        child.stop(timeout=0.1)
        assert child.wait(WAIT) == -signal.SIGKILL
    child.stop()


def test_the_status_of_a_child_that_has_ended_cannot_be_read() -> None:
    with Child([sys.executable, "-c", "input()"]) as child:
        assert child.status("Threads") == 1
        assert child.status("VmRSS") > 0
        child.signal(signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(ChildError, match="gone"):  # not yet reaped
            child.status("VmRSS")
        child.wait(WAIT)
        with pytest.raises(ChildError, match="gone"):
            child.status("VmRSS")
