"""inventory-svc's answers on the wire, in both characters."""

from typing import Any

import grpc

from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.neighbours.seats import SeatAnswer
from reservation_worker.simulator.neighbours.stock import StockResult
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
TROUBLE = {
    Character.CONTRACT: (grpc.StatusCode.UNAVAILABLE, "the database does not answer", 0.0),
    Character.TODAY: (
        grpc.StatusCode.INTERNAL,
        "failed to check idempotency: operation error DynamoDB: GetItem, context deadline exceeded",
        0.25,
    ),
}
"""The answer when its database fails: status, text, and a delay in seconds."""


class RefusedError(Exception):
    """The call ends with a gRPC status and no message."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


def release_response(answer: SeatAnswer, character: Character, numbered: bool) -> Any:
    """ReleaseHoldResponse. Raises RefusedError."""
    status = _RELEASES.get(answer.result, inventory_pb2.RELEASE_STATUS_NOT_FOUND)
    if character is Character.TODAY:
        _never_in_band(answer, "release", numbered)
        status = inventory_pb2.RELEASE_STATUS_SUCCESS
    response = inventory_pb2.ReleaseHoldResponse(
        status=status, released_seats=_seats(answer, types_pb2.SEAT_STATUS_AVAILABLE)
    )
    response.released_at.GetCurrentTime()
    return response


def commit_response(answer: SeatAnswer, character: Character, numbered: bool) -> Any:
    """CommitReservationResponse. Raises RefusedError."""
    if character is Character.TODAY:
        _never_in_band(answer, "commit", numbered)
    elif refusal := _REFUSALS.get(answer.result):
        status, code = refusal
        response = inventory_pb2.CommitReservationResponse(status=status)
        response.error.code = code
        response.error.message = f"commit refused: {answer.result}"
        return response
    response = inventory_pb2.CommitReservationResponse(
        order_id=answer.order_id,
        status=inventory_pb2.COMMIT_STATUS_SUCCESS,
        sold_seats=_seats(answer, types_pb2.SEAT_STATUS_SOLD),
    )
    response.committed_at.GetCurrentTime()
    return response


def _never_in_band(answer: SeatAnswer, what: str, numbered: bool) -> None:
    """A seat conflict looks like an internal failure, a conflict of quantities does not."""
    if answer.replay or answer.result is StockResult.DONE:
        return
    if not numbered:
        raise RefusedError(grpc.StatusCode.ABORTED, f"{what}: the inventory has changed, try again")
    raise RefusedError(
        grpc.StatusCode.INTERNAL,
        f"failed to {what} seats: operation error DynamoDB: TransactWriteItems,"
        " TransactionCanceledException: Transaction cancelled, please refer cancellation reasons"
        " for specific reasons [ConditionalCheckFailed]",
    )


def _seats(answer: SeatAnswer, status: Any) -> list[types_pb2.Seat]:
    return [types_pb2.Seat(id=seat, status=status) for seat in answer.seats]
