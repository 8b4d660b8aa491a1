"""The character `today`: the behaviour of the services that run now."""

import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import requests

from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.processes.neighbours import NeighboursProcess
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2 as pb
from reservation_worker.stubs.proto.reservation.v1.inventory_pb2_grpc import InventoryServiceStub
from tests.integration.simulator.inventory import HALL, LAWN, WAIT, Inventory

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


def test_todays_api_answers_500_on_an_unknown_path(today: Client, contract: Client) -> None:
    for client, status in ((today, 500), (contract, 404)):
        url = f"{client.process.reservation_base}/internal/elsewhere/rsv_1"
        answer = client.session.patch(url, json={}, timeout=WAIT)
        assert answer.status_code == status
    body = today.session.get(f"{today.process.reservation_base}/x", timeout=WAIT).json()
    assert body["error"]["code"] == "INTERNAL_ERROR"
