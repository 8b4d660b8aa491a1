"""The pretend world over real sockets: gRPC, HTTP, SQS, their faults and their processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests

from reservation_worker.simulator.judge.scrape import Metrics
from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.neighbours.inventory import InventoryServer
from reservation_worker.simulator.neighbours.ledger import Ledger, Record
from reservation_worker.simulator.neighbours.reservation_api import ReservationApi
from reservation_worker.simulator.processes import ChildError, NeighboursProcess, SqsProcess
from reservation_worker.simulator.processes.child import Child
from reservation_worker.simulator.processes.stack import Stack
from reservation_worker.simulator.sqs.provision import create_queues
from reservation_worker.simulator.story.scenario import Message
from reservation_worker.stubs.proto.common.v1 import errors_pb2
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2 as pb
from reservation_worker.stubs.proto.reservation.v1.inventory_pb2_grpc import InventoryServiceStub

HALL, LAWN = "evt_hall", "evt_lawn"
WAIT = 10.0


@pytest.fixture
def ledger() -> Ledger:
    made = Ledger()
    seated = [Record(f"rsv_{n}", HALL, (f"A{n}", f"B{n}"), user_id="user_1") for n in range(1, 9)]
    made.seed([*seated, Record("rsv_lawn", LAWN, quantity=3)], {LAWN: 3})
    return made


class Inventory:
    """The server and a client of it."""

    def __init__(self, server: InventoryServer) -> None:
        self.server = server
        self.faults = server.faults
        self.channel = grpc.insecure_channel(server.address)
        self.stub = InventoryServiceStub(self.channel)  # type: ignore[no-untyped-call]

    def release(self, rid: str, timeout: float = WAIT, **fields: Any) -> Any:
        return self.stub.ReleaseHold(
            pb.ReleaseHoldRequest(**self.facts(rid, "release") | fields),
            timeout=timeout,
            metadata=[("traceparent", "00-aa-bb-01"), ("x-trace-id", "trace")],
        )

    def commit(self, rid: str, timeout: float = WAIT, **fields: Any) -> Any:
        request = pb.CommitReservationRequest(**self.facts(rid, "commit") | fields)
        return self.stub.CommitReservation(request, timeout=timeout)

    @staticmethod
    def facts(rid: str, op: str) -> dict[str, Any]:
        number = rid.removeprefix("rsv_")
        return {
            "reservation_id": rid,
            "event_id": HALL,
            "seat_ids": [f"A{number}", f"B{number}"],
            "quantity": 2,
            "idempotency_key": f"{op}:{rid}",
        }


@pytest.fixture
def inventory(ledger: Ledger) -> Iterator[Inventory]:
    server = InventoryServer(ledger.seats)
    server.start()
    made = Inventory(server)
    yield made
    made.channel.close()
    server.stop()


class Api:
    """The server and a client of it."""

    def __init__(self, server: ReservationApi) -> None:
        self.server = server
        self.faults = server.faults
        self.session = requests.Session()
        self.session.trust_env = False

    def url(self, rid: str) -> str:
        return f"{self.server.base}/internal/reservations/{rid}"

    def patch(
        self, rid: str, status: str, timeout: float = WAIT, **facts: str
    ) -> requests.Response:
        return self.session.patch(
            self.url(rid),
            json={"status": status, **facts},
            headers={"Idempotency-Key": f"status:{status}:{rid}", "x-trace-id": "trace"},
            timeout=timeout,
        )

    def get(self, rid: str) -> requests.Response:
        return self.session.get(self.url(rid), timeout=WAIT)


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    server = ReservationApi(ledger.reservations)
    server.start()
    yield Api(server)
    server.stop()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as made:
        yield made


def code_of(error: pytest.ExceptionInfo[grpc.RpcError]) -> grpc.StatusCode:
    code: grpc.StatusCode = error.value.code()
    return code


# inventory-svc


def test_seats_are_sold_once_and_a_replayed_commit_gets_the_same_order(
    inventory: Inventory, ledger: Ledger
) -> None:
    first, again = inventory.commit("rsv_1"), inventory.commit("rsv_1")
    assert first.status == again.status == pb.COMMIT_STATUS_SUCCESS
    assert first.order_id == again.order_id == "ord_rsv_1"
    assert [seat.id for seat in first.sold_seats] == ["A1", "B1"]
    assert ledger.dump()["seats"][HALL]["A1"] == ["SOLD", "rsv_1"]


def test_a_replayed_release_answers_already_released(inventory: Inventory) -> None:
    first, again = inventory.release("rsv_1"), inventory.release("rsv_1")
    assert first.status == pb.RELEASE_STATUS_SUCCESS
    assert [seat.id for seat in first.released_seats] == ["A1", "B1"]
    assert again.status == pb.RELEASE_STATUS_ALREADY_RELEASED
    assert inventory.release("rsv_1", idempotency_key="").status == again.status


def test_a_release_of_unknown_seats_answers_not_found(inventory: Inventory) -> None:
    assert inventory.release("rsv_1", event_id="evt_x").status == pb.RELEASE_STATUS_NOT_FOUND


def test_known_danger_a_release_frees_sold_seats(inventory: Inventory, ledger: Ledger) -> None:
    inventory.commit("rsv_1")
    assert inventory.release("rsv_1").status == pb.RELEASE_STATUS_SUCCESS
    assert ledger.dump()["seats"][HALL]["A1"] == ["AVAILABLE", ""]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        (
            {"seat_ids": ["A2"]},
            pb.COMMIT_STATUS_FAILED_CONFLICT,
            errors_pb2.ERROR_CODE_INVENTORY_CONFLICT,
        ),
        ({"seat_ids": ["Z1"]}, pb.COMMIT_STATUS_UNSPECIFIED, errors_pb2.ERROR_CODE_NOT_FOUND),
        (
            {"seat_ids": [], "event_id": LAWN},
            pb.COMMIT_STATUS_FAILED_EXPIRED,
            errors_pb2.ERROR_CODE_RESERVATION_EXPIRED,
        ),
    ],
)
def test_a_refused_commit_is_refused_in_band(
    inventory: Inventory, fields: dict[str, Any], status: int, code: int
) -> None:
    answer = inventory.commit("rsv_1", **fields)
    assert (answer.status, answer.error.code) == (status, code)


def test_general_admission_goes_by_quantity(inventory: Inventory, ledger: Ledger) -> None:
    lawn: dict[str, Any] = {"event_id": LAWN, "seat_ids": [], "quantity": 3}
    assert inventory.commit("rsv_lawn", **lawn).status == pb.COMMIT_STATUS_SUCCESS
    assert ledger.dump()["pools"][LAWN]["sold"] == {"rsv_lawn": 3}
    with pytest.raises(grpc.RpcError) as error:
        inventory.commit("rsv_lawn", **lawn | {"quantity": 0})
    assert code_of(error) is grpc.StatusCode.INVALID_ARGUMENT


def test_inventory_down_closes_the_port_and_comes_back_on_the_same(inventory: Inventory) -> None:
    port = inventory.server.port
    for _ in range(3):
        inventory.server.stop()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), 1)
        with pytest.raises(grpc.RpcError) as error:
            inventory.release("rsv_1")
        assert code_of(error) is grpc.StatusCode.UNAVAILABLE
        inventory.server.start()
        # Not the shared subchannel, which waits a second before it reconnects.
        alone = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(f"127.0.0.1:{port}", alone) as channel:
            grpc.channel_ready_future(channel).result(WAIT)
    assert inventory.server.port == port


def test_a_hanging_call_ends_with_its_deadline_and_has_no_effect(
    inventory: Inventory, ledger: Ledger
) -> None:
    inventory.faults.hang()
    with pytest.raises(grpc.RpcError) as error:
        inventory.release("rsv_1", timeout=0.2)
    assert code_of(error) is grpc.StatusCode.DEADLINE_EXCEEDED
    assert inventory.faults.wait_idle(WAIT)
    assert ledger.dump()["seats"][HALL]["A1"] == ["RESERVED", "rsv_1"]
    inventory.faults.clear()
    assert inventory.release("rsv_1").status == pb.RELEASE_STATUS_SUCCESS


def test_only_the_chosen_reservations_hang_and_go_on_when_cleared(
    inventory: Inventory, pool: ThreadPoolExecutor
) -> None:
    inventory.faults.hang(["rsv_1"])
    hanging = pool.submit(inventory.release, "rsv_1")
    assert inventory.faults.wait_hanging(1, WAIT)
    assert inventory.release("rsv_2").status == pb.RELEASE_STATUS_SUCCESS
    assert not hanging.done()
    inventory.faults.clear()
    assert hanging.result(WAIT).status == pb.RELEASE_STATUS_SUCCESS


def test_a_call_can_hang_after_it_took_effect(inventory: Inventory, ledger: Ledger) -> None:
    inventory.faults.hang(after=True)
    with pytest.raises(grpc.RpcError):
        inventory.release("rsv_1", timeout=0.2)
    assert ledger.dump()["seats"][HALL]["A1"] == ["AVAILABLE", ""]


def test_hanging_calls_do_not_keep_inventory_from_going_down(
    inventory: Inventory, pool: ThreadPoolExecutor, ledger: Ledger
) -> None:
    inventory.faults.hang()
    calls: list[Future[Any]] = [pool.submit(inventory.release, f"rsv_{n}") for n in (1, 2, 3)]
    assert inventory.faults.wait_hanging(3, WAIT)
    inventory.server.stop()
    assert all(isinstance(call.exception(WAIT), grpc.RpcError) for call in calls)
    assert ledger.dump()["seats"][HALL]["A1"] == ["RESERVED", "rsv_1"]


def test_a_set_number_of_calls_get_a_status_and_the_next_one_the_truth(
    inventory: Inventory,
) -> None:
    inventory.faults.answer({"code": "ABORTED"}, count=2)
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as error:
            inventory.release("rsv_1")
        assert code_of(error) is grpc.StatusCode.ABORTED
    assert inventory.release("rsv_1").status == pb.RELEASE_STATUS_SUCCESS


def test_a_call_can_fail_in_band_with_any_number(inventory: Inventory) -> None:
    inventory.faults.answer({"status": 99, "error_code": 77}, ids=["rsv_1"])
    assert inventory.release("rsv_2").status == pb.RELEASE_STATUS_SUCCESS
    answer = inventory.release("rsv_1")
    assert (answer.status, answer.error.code) == (99, 77)


def test_inventory_records_its_requests_and_the_trace_headers(inventory: Inventory) -> None:
    inventory.release("rsv_1", reason="EXPIRED")
    (call,) = inventory.server.calls.rows()
    assert call["method"] == "ReleaseHold"
    assert call["headers"] == {"traceparent": "00-aa-bb-01", "x-trace-id": "trace"}
    assert call["body"]["idempotency_key"] == "release:rsv_1"
    assert call["body"]["reason"] == "EXPIRED"


# reservation-api


def test_a_hold_is_confirmed_and_a_replayed_key_gets_the_stored_answer(api: Api) -> None:
    first = api.patch("rsv_1", "CONFIRMED", payment_intent_id="pay_1")
    again = api.patch("rsv_1", "CONFIRMED", payment_intent_id="pay_2")
    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert again.json()["payment_intent_id"] == "pay_1"


@pytest.mark.parametrize("number", range(1, 9))
def test_a_final_state_is_a_conflict_that_names_it(api: Api, number: int) -> None:
    rid = f"rsv_{number}"
    api.patch(rid, "CONFIRMED", payment_intent_id="pay_1")
    answer = api.patch(rid, "EXPIRED")
    assert answer.status_code in (400, 409)
    body = answer.json()
    assert body["error"]["code"] == "RESERVATION_ALREADY_CONFIRMED"
    assert body["error"]["traceId"] == "trace"
    assert body["payment_intent_id"] == "pay_1"
    assert body.get("status", "CONFIRMED") == "CONFIRMED"


def test_a_reservation_is_shown_in_snake_or_camel_case(api: Api) -> None:
    shown = [api.get(f"rsv_{number}").json() for number in range(1, 9)]
    assert {row.get("event_id") or row.get("eventId") for row in shown} == {HALL}
    assert {"seat_ids" in row for row in shown} == {True, False}
    assert all(row["status"] == "HOLD" and row["quantity"] == 2 for row in shown)


def test_an_unknown_reservation_is_a_404_with_its_code(api: Api) -> None:
    for answer in (api.get("rsv_x"), api.patch("rsv_x", "EXPIRED")):
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "RESERVATION_NOT_FOUND"


@pytest.mark.parametrize("body", [b"", b"[]", b"not json", b'{"status": "HOLD"}'])
def test_a_patch_that_names_no_final_state_is_a_400(api: Api, body: bytes) -> None:
    assert api.session.patch(api.url("rsv_1"), data=body, timeout=WAIT).status_code == 400


def test_the_api_down_closes_the_port_and_comes_back_on_the_same(api: Api) -> None:
    port = api.server.port
    for _ in range(3):
        assert api.get("rsv_1").status_code == 200
        api.server.stop()
        with pytest.raises(requests.ConnectionError):
            api.get("rsv_1")
        api.server.start()
    assert api.get("rsv_1").status_code == 200
    assert api.server.port == port


def test_api_calls_hang_until_cleared_and_then_take_effect(
    api: Api, pool: ThreadPoolExecutor
) -> None:
    api.faults.hang(["rsv_1"])
    hanging = pool.submit(api.patch, "rsv_1", "EXPIRED")
    assert api.faults.wait_hanging(1, WAIT)
    assert Api(api.server).get("rsv_2").status_code == 200
    api.faults.clear()
    assert hanging.result(WAIT).ok


def test_a_caller_that_hangs_up_leaves_no_effect_behind(api: Api, ledger: Ledger) -> None:
    api.faults.hang()
    with pytest.raises(requests.Timeout):
        api.patch("rsv_1", "EXPIRED", timeout=0.2)
    api.session.close()
    assert api.faults.wait_idle(WAIT)
    api.faults.clear()
    assert ledger.dump()["reservations"]["rsv_1"]["status"] == "HOLD"


def test_hanging_calls_do_not_keep_the_api_from_going_down(
    api: Api, pool: ThreadPoolExecutor, ledger: Ledger
) -> None:
    api.faults.hang()
    hanging = pool.submit(api.patch, "rsv_1", "EXPIRED")
    assert api.faults.wait_hanging(1, WAIT)
    api.server.stop()
    assert isinstance(hanging.exception(WAIT), requests.ConnectionError)
    assert ledger.dump()["reservations"]["rsv_1"]["status"] == "HOLD"


def test_a_set_number_of_calls_get_another_answer_and_the_next_one_the_truth(api: Api) -> None:
    api.faults.answer({"status": 429, "headers": {"Retry-After": "7"}}, count=2)
    api.faults.answer({"status": 200, "body": "<html>"})
    api.faults.answer({"status": 409, "body": {"status": "HOLD"}})
    for _ in range(2):
        answer = api.patch("rsv_1", "EXPIRED")
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert api.patch("rsv_1", "EXPIRED").text == "<html>"
    assert api.patch("rsv_1", "EXPIRED").json() == {"status": "HOLD"}
    assert api.patch("rsv_1", "EXPIRED").ok
    assert api.get("rsv_1").json()["status"] == "EXPIRED"


def test_an_answer_can_be_spoiled_after_the_effect(api: Api) -> None:
    api.faults.answer({"status": 502}, after=True)
    assert api.patch("rsv_1", "EXPIRED").status_code == 502
    assert api.get("rsv_1").json()["status"] == "EXPIRED"


def test_the_api_records_its_requests_and_their_headers(api: Api) -> None:
    api.patch("rsv_1", "EXPIRED")
    (call,) = api.server.calls.rows()
    assert (call["method"], call["reservation_id"]) == ("PATCH", "rsv_1")
    assert call["headers"]["idempotency-key"] == "status:EXPIRED:rsv_1"
    assert call["headers"]["x-trace-id"] == "trace"
    assert call["body"] == {"status": "EXPIRED"}


# the processes


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
        with pytest.raises(ChildError, match="no fault"):
            neighbours._call("POST", "/faults", {"target": "both", "fault": "quake"})
        process = neighbours.process
    assert process is not None
    assert process.returncode == 0


LAWN_FACTS: dict[str, Any] = {"event_id": LAWN, "seat_ids": [], "quantity": 3}


def seeded(process: NeighboursProcess) -> NeighboursProcess:
    seated = [Record(f"rsv_{n}", HALL, (f"A{n}", f"B{n}")) for n in range(1, 9)]
    process.seed([*seated, Record("rsv_lawn", LAWN, quantity=3)], {LAWN: 3})
    return process


class Client:
    """Both neighbours of a process, over their wires."""

    def __init__(self, process: NeighboursProcess) -> None:
        self.process = process
        self.base = f"{process.reservation_base}/internal/reservations/"
        self.session = requests.Session()
        self.session.trust_env = False

    def status_of(self, op: str, rid: str, **fields: Any) -> tuple[str, str]:
        """The gRPC status (or the in-band status and error code) and the text."""
        facts = Inventory.facts(rid, op) | fields
        with grpc.insecure_channel(self.process.inventory_address) as channel:
            stub = InventoryServiceStub(channel)  # type: ignore[no-untyped-call]
            try:
                if op == "release":
                    answer = stub.ReleaseHold(pb.ReleaseHoldRequest(**facts), timeout=WAIT)
                else:
                    request = pb.CommitReservationRequest(**facts)
                    answer = stub.CommitReservation(request, timeout=WAIT)
            except grpc.RpcError as error:
                return error.code().name, error.details()
            return f"{answer.status} {answer.error.code}", ""

    def patch(self, rid: str, status: str, **more: Any) -> requests.Response:
        body = {"status": status, "payment_intent_id": "pay_1"}
        return self.session.patch(self.base + rid, json=body, timeout=WAIT, **more)


@pytest.fixture(scope="module")
def contract() -> Iterator[Client]:
    with NeighboursProcess() as process:
        yield Client(seeded(process))


@pytest.fixture
def today() -> Iterator[Client]:
    with NeighboursProcess(character=Character.TODAY) as process:
        yield Client(seeded(process))


def test_todays_inventory_never_fails_in_band(today: Client) -> None:
    done = f"{pb.RELEASE_STATUS_SUCCESS} 0"
    assert today.status_of("release", "rsv_1")[0] == done
    assert today.status_of("release", "rsv_1")[0] == done, "a repeat"
    for op, fields in (
        ("commit", {}),  # no row holds the reservation any more
        ("commit", {"seat_ids": ["A2"]}),
        ("commit", {"seat_ids": ["Z1"]}),
        ("release", {"reservation_id": "rsv_2", "seat_ids": ["A2", "B3"]}),
        ("release", {"reservation_id": "rsv_2", "event_id": "evt_x"}),
    ):
        code, text = today.status_of(op, "rsv_1", **fields)
        assert code == "INTERNAL"
        assert "TransactionCanceledException" in text
        assert "ConditionalCheckFailed" in text
    assert today.status_of("commit", "rsv_lawn", **LAWN_FACTS | {"quantity": 4})[0] == "ABORTED"
    assert today.status_of("commit", "rsv_lawn", **LAWN_FACTS)[0] == "1 0"


def test_todays_inventory_answers_internal_when_its_database_fails_after_a_delay(
    today: Client, contract: Client
) -> None:
    for client, code, least in ((today, "INTERNAL", 0.25), (contract, "UNAVAILABLE", 0.0)):
        client.process.trouble("inventory")
        began = time.monotonic()
        assert client.status_of("release", "rsv_8")[0] == code
        assert time.monotonic() - began >= least
        client.process.clear("inventory")
        assert client.status_of("release", "rsv_8")[0] == "1 0"


def test_todays_inventory_forgets_its_keys() -> None:
    with NeighboursProcess(character=Character.TODAY, key_ttl=0) as process:
        today = Client(seeded(process))
        for _ in range(2):
            assert today.status_of("release", "rsv_lawn", **LAWN_FACTS)[0] == "1 0"
        assert process.ledger()["pools"][LAWN]["available"] == 6
        assert today.status_of("commit", "rsv_1")[0] == "1 0"
        assert today.status_of("commit", "rsv_1")[0] == "INTERNAL"


def test_todays_api_writes_camel_case_and_refuses_with_400_only(today: Client) -> None:
    for number in range(1, 9):
        rid = f"rsv_{number}"
        changed = today.patch(rid, "CONFIRMED")
        assert (changed.status_code, changed.json()["paymentIntentId"]) == (200, "pay_1")
        for status in ("CONFIRMED", "EXPIRED"):
            refused = today.patch(rid, status, headers={"Idempotency-Key": "the same"})
            assert refused.status_code == 400
            assert refused.json()["error"]["code"] == "RESERVATION_ALREADY_CONFIRMED"
            assert refused.json()["paymentIntentId"] == "pay_1"
        shown = today.session.get(today.base + rid, timeout=WAIT).json()
        assert not [name for name in shown if "_" in name]
    today.process.overturn(["rsv_1"])
    again = today.patch("rsv_1", "CONFIRMED").json()
    assert again["error"]["code"] == "RESERVATION_ALREADY_CANCELLED"


def test_todays_api_answers_500_on_an_unknown_path(today: Client, contract: Client) -> None:
    for client, status in ((today, 500), (contract, 404)):
        url = f"{client.process.reservation_base}/internal/elsewhere/rsv_1"
        answer = client.session.patch(url, json={}, timeout=WAIT)
        assert answer.status_code == status
    body = today.session.get(f"{today.process.reservation_base}/x", timeout=WAIT).json()
    assert body["error"]["code"] == "INTERNAL_ERROR"


def test_an_api_that_wants_a_token_answers_401_until_it_gets_it(today: Client) -> None:
    today.process.want_token("secret")
    for headers in ({}, {"Authorization": "Bearer other"}):
        answer = today.patch("rsv_1", "EXPIRED", headers=headers)
        assert (answer.status_code, answer.content) == (401, b"")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert today.session.get(today.base + "x", timeout=WAIT).status_code == 401
    good = {"Authorization": "Bearer secret"}
    assert today.patch("rsv_1", "EXPIRED", headers=good).status_code == 200
    today.process.want_token("")
    assert today.patch("rsv_2", "EXPIRED").status_code == 200


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
        queue, dead = create_queues(sqs.client(), visibility=7, max_receive=3)
        client = sqs.client()
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


# the figures


def test_quantiles_are_interpolated_as_prometheus_does() -> None:
    counts = {"0.1": 10, "0.2": 10, "0.5": 20, "+Inf": 20}
    lines = ["# TYPE t histogram", *(f't_bucket{{le="{le}"}} {n}' for le, n in counts.items())]
    metrics = Metrics("\n".join([*lines, "t_count 20", "t_sum 4", ""]))
    assert metrics.quantile(0.25, "t") == pytest.approx(0.05)
    assert metrics.quantile(0.75, "t") == pytest.approx(0.35)
    assert metrics.quantile(0.5, "other") is None


def test_counters_are_summed_by_the_labels_that_are_asked_for() -> None:
    lines = [f'e_total{{type="{kind}",outcome="ok"}} {n}' for kind, n in (("a", 2), ("b", 3))]
    metrics = Metrics(
        "\n".join(["# TYPE e counter", *lines, 'e_total{type="c",outcome="no"} 0', ""])
    )
    assert metrics.value("e_total", outcome="ok") == 5
    assert metrics.by("e_total", "type") == {("a",): 2, ("b",): 3}
    assert metrics.value("nothing") == 0


def test_the_difference_of_two_scrapes_counts_the_events_in_between() -> None:
    def scrape(fast: int, slow: int) -> Metrics:
        total = fast + slow
        return Metrics(
            "# TYPE worker_events counter\n"
            f'worker_events_total{{type="expired",outcome="success"}} {total}\n'
            "# TYPE worker_latency_seconds histogram\n"
            f'worker_latency_seconds_bucket{{type="expired",le="0.1"}} {fast}\n'
            f'worker_latency_seconds_bucket{{type="expired",le="1"}} {total}\n'
            f'worker_latency_seconds_bucket{{type="expired",le="+Inf"}} {total}\n'
            f'worker_latency_seconds_count{{type="expired"}} {total}\n'
        )

    gained = scrape(1000, 10) - scrape(1000, 0)
    assert gained.settled() == 10
    assert gained.outcomes() == {"expired": {"success": 10}}
    assert gained.quantiles_ms()["p50"] == pytest.approx(550)
    assert (gained + gained).settled() == 20
    assert (scrape(1, 0) - scrape(1, 0)).quantiles_ms() == {"p50": None, "p95": None, "p99": None}
