"""The simulated inventory-svc over gRPC, and its faults."""

import socket
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from reservation_worker.simulator.neighbours.ledger import Ledger
from reservation_worker.stubs.proto.common.v1 import errors_pb2
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2 as pb
from tests.integration.simulator.inventory import HALL, LAWN, WAIT, Inventory


def code_of(error: pytest.ExceptionInfo[grpc.RpcError]) -> grpc.StatusCode:
    code: grpc.StatusCode = error.value.code()
    return code


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
