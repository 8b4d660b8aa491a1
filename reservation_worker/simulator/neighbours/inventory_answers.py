"""inventory-svc's answers on the wire, in both characters."""

from collections.abc import Mapping
from typing import Any

import grpc

from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.neighbours.stock import Effect, StockResult
from reservation_worker.stubs.proto.common.v1 import errors_pb2, types_pb2
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2

# A refused commit: status, error code.
_REFUSALS = {
    StockResult.NOT_FOUND: (
        inventory_pb2.COMMIT_STATUS_UNSPECIFIED,
        errors_pb2.ERROR_CODE_NOT_FOUND,
    ),
    StockResult.HOLD_GONE: (
        inventory_pb2.COMMIT_STATUS_FAILED_EXPIRED,
        errors_pb2.ERROR_CODE_RESERVATION_EXPIRED,
    ),
    StockResult.CONFLICT: (
        inventory_pb2.COMMIT_STATUS_FAILED_CONFLICT,
        errors_pb2.ERROR_CODE_INVENTORY_CONFLICT,
    ),
}
_RELEASES = {
    StockResult.DONE: inventory_pb2.RELEASE_STATUS_SUCCESS,
    StockResult.ALREADY: inventory_pb2.RELEASE_STATUS_ALREADY_RELEASED,
}
TROUBLE: Mapping[Character, Mapping[str, Any]] = {
    Character.CONTRACT: {"code": "UNAVAILABLE", "message": "the database does not answer"},
    Character.TODAY: {
        "code": "INTERNAL",
        "message": "failed to check idempotency: operation error DynamoDB: GetItem,"
        " context deadline exceeded",
        "sleep": 0.25,
    },
}
"""The answer when its database fails, as `false_answer` takes it."""


class RefusedError(Exception):
    """The call ends with a gRPC status and no message."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


def release_response(effect: Effect, request: Any, character: Character) -> Any:
    """ReleaseHoldResponse. Raises RefusedError."""
    status = _RELEASES.get(effect.result, inventory_pb2.RELEASE_STATUS_NOT_FOUND)
    if character is Character.TODAY:
        _never_in_band(effect, request, "release")
    elif effect.replay:
        status = inventory_pb2.RELEASE_STATUS_ALREADY_RELEASED
    response = inventory_pb2.ReleaseHoldResponse(
        status=status, released_seats=_seats(effect, types_pb2.SEAT_STATUS_AVAILABLE)
    )
    response.released_at.GetCurrentTime()
    return response


def commit_response(effect: Effect, request: Any, character: Character) -> Any:
    """CommitReservationResponse. Raises RefusedError."""
    if character is Character.TODAY:
        _never_in_band(effect, request, "commit")
    elif refusal := _REFUSALS.get(effect.result):
        status, code = refusal
        response = inventory_pb2.CommitReservationResponse(status=status)
        response.error.code = code
        response.error.message = f"commit refused: {effect.result}"
        return response
    response = inventory_pb2.CommitReservationResponse(
        order_id=f"ord_{request.reservation_id}",
        status=inventory_pb2.COMMIT_STATUS_SUCCESS,
        sold_seats=_seats(effect, types_pb2.SEAT_STATUS_SOLD),
    )
    response.committed_at.GetCurrentTime()
    return response


def false_answer(spec: Mapping[str, Any], response: Any) -> Any:
    """Fill an empty response as `NeighboursProcess.answer` describes. Raises RefusedError."""
    text = spec.get("message", "a fault")
    if "code" in spec:
        raise RefusedError(grpc.StatusCode[spec["code"]], text)
    # Numbers, not names, so that a test can use unknown ones.
    response.status = spec.get("status", 0)
    if spec.get("error_code"):
        response.error.code = spec["error_code"]
        response.error.message = text
    if "message_bytes" in spec:
        response.error.message = "x" * spec["message_bytes"]
    return response


def _never_in_band(effect: Effect, request: Any, what: str) -> None:
    """A seat conflict looks like an internal failure, a conflict of quantities does not."""
    if effect.result is StockResult.DONE:
        return
    if not request.seat_ids:
        raise RefusedError(grpc.StatusCode.ABORTED, f"{what}: the inventory has changed, try again")
    raise RefusedError(
        grpc.StatusCode.INTERNAL,
        f"failed to {what} seats: operation error DynamoDB: TransactWriteItems,"
        " TransactionCanceledException: Transaction cancelled, please refer cancellation reasons"
        " for specific reasons [ConditionalCheckFailed]",
    )


def _seats(effect: Effect, status: Any) -> list[types_pb2.Seat]:
    return [types_pb2.Seat(id=seat, status=status) for seat in effect.seats]
