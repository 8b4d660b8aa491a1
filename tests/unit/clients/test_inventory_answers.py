"""The meaning of each answer of inventory-svc (docs/contract.md#inventory), over real gRPC."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest

from reservation_worker.clients.inventory import InventoryClient
from reservation_worker.clients.ports import CallContext, Seats
from reservation_worker.errors import PermanentError, TransientError
from reservation_worker.stubs.proto.common.v1 import errors_pb2 as errors
from reservation_worker.stubs.proto.common.v1 import types_pb2 as types
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2 as pb
from tests.unit.clients.grpc_neighbour import (
    CALL,
    SEATS,
    Meaning,
    Neighbour,
    assert_means,
    commit,
    release,
)

DONE = None  # the call returns
TRANSIENT, PERMANENT = TransientError, PermanentError

UNKNOWN_NUMBER = 77  # in no enum of today's contract

Release, Commit = pb.ReleaseHoldResponse, pb.CommitReservationResponse


# gRPC statuses: status, on a release, on a commit.

Status = grpc.StatusCode
STATUSES: dict[grpc.StatusCode, tuple[Meaning, Meaning]] = {
    # transient
    Status.UNAVAILABLE: (TRANSIENT, TRANSIENT),
    Status.DEADLINE_EXCEEDED: (TRANSIENT, TRANSIENT),
    Status.RESOURCE_EXHAUSTED: (TRANSIENT, TRANSIENT),
    Status.ABORTED: (TRANSIENT, TRANSIENT),
    Status.CANCELLED: (TRANSIENT, TRANSIENT),
    Status.INTERNAL: (TRANSIENT, TRANSIENT),
    Status.UNKNOWN: (TRANSIENT, TRANSIENT),
    # neighbour fault
    Status.UNIMPLEMENTED: (TRANSIENT, TRANSIENT),
    Status.UNAUTHENTICATED: (TRANSIENT, TRANSIENT),
    Status.PERMISSION_DENIED: (TRANSIENT, TRANSIENT),
    # permanent
    Status.INVALID_ARGUMENT: (PERMANENT, PERMANENT),
    Status.FAILED_PRECONDITION: (PERMANENT, PERMANENT),
    Status.OUT_OF_RANGE: (PERMANENT, PERMANENT),
    Status.DATA_LOSS: (PERMANENT, PERMANENT),
    # release: already done; commit: already done, or the seats are gone
    Status.NOT_FOUND: (DONE, PERMANENT),
    Status.ALREADY_EXISTS: (DONE, DONE),
}


@pytest.mark.parametrize(("status", "meanings"), STATUSES.items(), ids=str)
def test_each_grpc_status_has_its_meaning_in_the_contract(
    inventory: Neighbour,
    inventory_client: InventoryClient,
    status: grpc.StatusCode,
    meanings: tuple[Meaning, Meaning],
) -> None:
    inventory.refuse(status)
    assert_means(meanings[0], lambda: release(inventory_client))
    assert_means(meanings[1], lambda: commit(inventory_client))


def test_every_grpc_status_has_its_line_in_the_table() -> None:
    assert set(STATUSES) == set(grpc.StatusCode) - {Status.OK}


# In-band error codes: number, on a release, on a commit.

CODES: dict[int, tuple[Meaning, Meaning]] = {
    0: (DONE, DONE),  # decides nothing
    1: (TRANSIENT, TRANSIENT),  # UNAUTHENTICATED
    2: (TRANSIENT, TRANSIENT),  # FORBIDDEN
    3: (TRANSIENT, TRANSIENT),  # UNAUTHORIZED
    4: (PERMANENT, PERMANENT),  # INVALID_ARGUMENT
    5: (DONE, PERMANENT),  # NOT_FOUND
    6: (DONE, DONE),  # ALREADY_EXISTS
    7: (PERMANENT, PERMANENT),  # FAILED_PRECONDITION
    8: (TRANSIENT, TRANSIENT),  # RATE_LIMITED
    9: (TRANSIENT, TRANSIENT),  # QUOTA_EXCEEDED
    10: (PERMANENT, PERMANENT),  # IDEMPOTENCY_REQUIRED
    11: (PERMANENT, PERMANENT),  # IDEMPOTENCY_CONFLICT
    12: (PERMANENT, PERMANENT),  # RESERVATION_EXPIRED
    13: (PERMANENT, PERMANENT),  # PAYMENT_NOT_APPROVED
    14: (PERMANENT, PERMANENT),  # INVENTORY_CONFLICT
    15: (PERMANENT, PERMANENT),  # INSUFFICIENT_INVENTORY
    16: (TRANSIENT, TRANSIENT),  # INTERNAL
    17: (TRANSIENT, TRANSIENT),  # UNAVAILABLE
    18: (TRANSIENT, TRANSIENT),  # TIMEOUT
    19: (TRANSIENT, TRANSIENT),  # UPSTREAM_TIMEOUT
    20: (TRANSIENT, TRANSIENT),  # UPSTREAM_ERROR
    21: (PERMANENT, PERMANENT),  # DATA_CORRUPTION
    22: (TRANSIENT, TRANSIENT),  # CONCURRENT_MODIFICATION
    UNKNOWN_NUMBER: (TRANSIENT, TRANSIENT),
    -1: (TRANSIENT, TRANSIENT),
}


@pytest.mark.parametrize("status", [0, 1], ids=["UNSPECIFIED", "SUCCESS"])
@pytest.mark.parametrize(("code", "meanings"), CODES.items())
def test_an_in_band_code_decides_over_a_status_success_or_unspecified(
    inventory: Neighbour,
    inventory_client: InventoryClient,
    status: int,
    code: int,
    meanings: tuple[Meaning, Meaning],
) -> None:
    inventory.answer(Release(status=status, error=errors.Error(code=code)))
    assert_means(meanings[0], lambda: release(inventory_client))
    inventory.answer(Commit(status=status, error=errors.Error(code=code)))
    assert_means(meanings[1], lambda: commit(inventory_client))


@pytest.mark.parametrize(
    ("code", "meaning"), [(code, release_means) for code, (release_means, _) in CODES.items()][1:]
)
def test_a_failed_release_is_classified_by_its_code(
    inventory: Neighbour, inventory_client: InventoryClient, code: int, meaning: Meaning
) -> None:
    inventory.answer(Release(status=pb.RELEASE_STATUS_FAILED, error=errors.Error(code=code)))
    assert_means(meaning, lambda: release(inventory_client))


def test_every_error_code_of_the_proto_has_its_line_in_the_table() -> None:
    assert set(errors.ErrorCode.values()) == set(CODES) - {UNKNOWN_NUMBER, -1}


# In-band statuses without an error, or with one that decides nothing.

NO_ERROR = [{}, {"error": errors.Error()}, {"error": errors.Error(message="all is well")}]
RELEASE_STATUSES: dict[int, Meaning] = {
    0: DONE,  # UNSPECIFIED: older servers fill neither
    1: DONE,  # SUCCESS
    2: DONE,  # ALREADY_RELEASED
    3: DONE,  # NOT_FOUND
    4: TRANSIENT,  # FAILED with no error code
    UNKNOWN_NUMBER: TRANSIENT,
    -1: TRANSIENT,
}
COMMIT_STATUSES: dict[int, Meaning] = {
    0: DONE,  # UNSPECIFIED: older servers fill neither
    1: DONE,  # SUCCESS
    2: PERMANENT,  # FAILED_PAYMENT
    3: PERMANENT,  # FAILED_EXPIRED
    4: PERMANENT,  # FAILED_CONFLICT
    UNKNOWN_NUMBER: TRANSIENT,
    -1: TRANSIENT,
}


@pytest.mark.parametrize("error", NO_ERROR, ids=["none", "empty", "code 0 with a message"])
@pytest.mark.parametrize(("status", "meaning"), RELEASE_STATUSES.items())
def test_a_release_status_decides_where_there_is_no_error_code(
    inventory: Neighbour,
    inventory_client: InventoryClient,
    status: int,
    meaning: Meaning,
    error: dict[str, Any],
) -> None:
    inventory.answer(Release(status=status, **error))
    assert_means(meaning, lambda: release(inventory_client))


@pytest.mark.parametrize("error", NO_ERROR, ids=["none", "empty", "code 0 with a message"])
@pytest.mark.parametrize(("status", "meaning"), COMMIT_STATUSES.items())
def test_a_commit_status_decides_where_there_is_no_error_code(
    inventory: Neighbour,
    inventory_client: InventoryClient,
    status: int,
    meaning: Meaning,
    error: dict[str, Any],
) -> None:
    inventory.answer(Commit(status=status, **error))
    assert_means(meaning, lambda: commit(inventory_client))


def test_every_status_of_the_proto_has_its_line_in_the_tables() -> None:
    assert set(pb.ReleaseStatus.values()) == set(RELEASE_STATUSES) - {UNKNOWN_NUMBER, -1}
    assert set(pb.CommitStatus.values()) == set(COMMIT_STATUSES) - {UNKNOWN_NUMBER, -1}


@pytest.mark.parametrize("status", [2, 3, 4])
@pytest.mark.parametrize("code", [5, 12, 13, 14, 15])
def test_a_commit_refused_by_status_and_code_is_permanent(
    inventory: Neighbour, inventory_client: InventoryClient, status: int, code: int
) -> None:
    inventory.answer(Commit(status=status, error=errors.Error(code=code)))
    assert_means(PERMANENT, lambda: commit(inventory_client))


@pytest.mark.parametrize("code", [0, 5, 6])
@pytest.mark.parametrize("status", [2, 3])
def test_a_release_that_was_done_before_is_done(
    inventory: Neighbour, inventory_client: InventoryClient, status: int, code: int
) -> None:
    inventory.answer(Release(status=status, error=errors.Error(code=code)))
    assert_means(DONE, lambda: release(inventory_client))


# The error's text, and the handler's result.


def test_the_error_names_the_call_and_its_answer(
    inventory: Neighbour, inventory_client: InventoryClient
) -> None:
    inventory.answer(Commit(status=4, error=errors.Error(code=14, message="A1 is sold")))
    with pytest.raises(PermanentError, match=r"CommitReservation: status 4, error 14 'A1 is sold'"):
        commit(inventory_client)
    inventory.refuse(Status.INVALID_ARGUMENT)
    with pytest.raises(PermanentError, match="ReleaseHold: INVALID_ARGUMENT: because of the test"):
        release(inventory_client)


@pytest.mark.parametrize(("order_id", "given"), [("ord_7", "ord_7"), ("", None)])
def test_a_commit_returns_the_order_id_if_there_is_one(
    inventory: Neighbour, inventory_client: InventoryClient, order_id: str, given: str | None
) -> None:
    inventory.answer(Commit(status=1, order_id=order_id))
    assert commit(inventory_client) == given


# The requests that inventory-svc receives.


def test_a_release_carries_all_its_fields_and_the_key_of_its_effect(
    inventory: Neighbour, inventory_client: InventoryClient
) -> None:
    inventory.answer(Release())
    inventory_client.release(SEATS, "FAILED_PAYMENT", CALL)
    assert inventory.requests == [
        pb.ReleaseHoldRequest(
            reservation_id="rsv_1",
            event_id="concert",
            seat_ids=["A1", "A2"],
            quantity=2,
            reason="FAILED_PAYMENT",
            idempotency_key="release:rsv_1",
        )
    ]


def test_a_commit_carries_all_its_fields_and_the_key_of_its_effect(
    inventory: Neighbour, inventory_client: InventoryClient
) -> None:
    inventory.answer(Commit())
    inventory_client.commit(SEATS, "pay_1", "usr_1", CALL)
    assert inventory.requests == [
        pb.CommitReservationRequest(
            reservation_id="rsv_1",
            event_id="concert",
            seat_ids=["A1", "A2"],
            quantity=2,
            payment_intent_id="pay_1",
            user_id="usr_1",
            idempotency_key="commit:rsv_1",
        )
    ]


def test_the_key_names_the_effect_not_its_cause(
    inventory: Neighbour, inventory_client: InventoryClient
) -> None:
    inventory.answer(Release())
    fewer = Seats("rsv_1", "another show", (), 7)
    for seats, reason in ((SEATS, "EXPIRED"), (fewer, "FAILED_PAYMENT")):
        inventory_client.release(seats, reason, CALL)
    assert {request.idempotency_key for request in inventory.requests} == {"release:rsv_1"}


def test_general_admission_is_a_quantity_without_seats(
    inventory: Neighbour, inventory_client: InventoryClient
) -> None:
    inventory.answer(Release())
    inventory_client.release(Seats("rsv_1", "concert", (), 3), "EXPIRED", CALL)
    assert list(inventory.requests[0].seat_ids) == []
    assert inventory.requests[0].quantity == 3


@pytest.mark.parametrize("call", [release, commit], ids=["release", "commit"])
def test_the_trace_headers_arrive_as_metadata(
    inventory: Neighbour, inventory_client: InventoryClient, call: Callable[..., Any]
) -> None:
    inventory.behave = lambda request, context: (
        Release() if isinstance(request, pb.ReleaseHoldRequest) else Commit()
    )
    headers = (("traceparent", "00-" + "a" * 32 + "-" + "b" * 16 + "-01"), ("x-trace-id", "t 1"))
    call(inventory_client, CallContext(10.0, headers))
    assert inventory.metadata[0].items() >= dict(headers).items()


# Bounded memory.


def seats_of(size: int) -> list[types.Seat]:
    return [types.Seat(section="x" * size)]


def test_an_answer_of_over_10_mib_is_transient(
    inventory: Neighbour, inventory_client: InventoryClient
) -> None:
    inventory.answer(Release(released_seats=seats_of(10 * 1024 * 1024)))
    assert_means(TRANSIENT, lambda: release(inventory_client))


def test_an_answer_of_just_under_10_mib_is_read(
    inventory: Neighbour, inventory_client: InventoryClient
) -> None:
    inventory.answer(Release(released_seats=seats_of(10 * 1024 * 1024 - 100)))
    assert_means(DONE, lambda: release(inventory_client))
