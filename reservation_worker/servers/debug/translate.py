"""Translates a gRPC request into an event, and its outcome into the response."""

import json
from dataclasses import dataclass
from typing import Any

from reservation_worker.errors import InvalidEvent
from reservation_worker.outcome import SUPERSEDED, Ack, DeadLetterReason, Outcome, Reject, Retry
from reservation_worker.stubs.proto.common.v1 import errors_pb2, types_pb2
from reservation_worker.stubs.proto.reservation.v1 import worker_pb2

# The payment statuses of docs/contract.md#events.
_RESULTS = {
    worker_pb2.PAYMENT_RESULT_TYPE_APPROVED: "PAYMENT_STATUS_APPROVED",
    worker_pb2.PAYMENT_RESULT_TYPE_FAILED: "PAYMENT_STATUS_FAILED",
    worker_pb2.PAYMENT_RESULT_TYPE_CANCELLED: "PAYMENT_STATUS_CANCELLED",
    worker_pb2.PAYMENT_RESULT_TYPE_REFUNDED: "PAYMENT_STATUS_REFUNDED",
    worker_pb2.PAYMENT_RESULT_TYPE_TIMEOUT: "PAYMENT_STATUS_EXPIRED",
}
_RETRIES = {
    "neighbour": errors_pb2.ERROR_CODE_UPSTREAM_ERROR,
    "breaker": errors_pb2.ERROR_CODE_UNAVAILABLE,
    "lease": errors_pb2.ERROR_CODE_TIMEOUT,
    "bug": errors_pb2.ERROR_CODE_INTERNAL,
}
_LONGEST = 512
"""The longest text of an error, in characters."""


def expiry_event(request: worker_pb2.ProcessReservationExpiryRequest) -> str:
    """The body of the `reservation.expired` event for a request."""
    return _body(
        "reservation.expired",
        request,
        event_id=request.event_id,
        seat_ids=list(request.seat_ids),
        qty=request.quantity or None,
    )


def payment_event(request: worker_pb2.ProcessPaymentResultRequest) -> str:
    """The body of the payment status update for a request.

    Raises InvalidEvent for an unspecified result_type, and for two different payments.
    """
    status = _RESULTS.get(request.result_type)
    if status is None:
        known = ", ".join(map(worker_pb2.PaymentResultType.Name, _RESULTS))
        raise InvalidEvent(f"result_type is not one of {known}")
    payments = {request.payment_intent_id, request.event_data.payment_intent_id} - {""}
    if len(payments) > 1:
        raise InvalidEvent("payment_intent_id and event_data.payment_intent_id are not the same")
    return _body(
        "payment.status_updated",
        request,
        status=status,
        payment_intent_id="".join(payments),
    )


def _body(event_type: str, request: Any, **detail: Any) -> str:
    detail["reservation_id"] = request.reservation_id
    return json.dumps({"type": event_type, "trace_id": request.correlation_id, "detail": detail})


@dataclass(frozen=True, slots=True)
class ProcessingResult:
    """An outcome in the terms of WorkerService."""

    status: worker_pb2.ProcessingStatus
    next_action: str
    error: errors_pb2.Error | None = None


def processing_result(outcome: Outcome, trace_id: str) -> ProcessingResult:
    """The result for the caller, who alone decides about a retry or a dead letter."""
    if isinstance(outcome, Ack):
        if outcome.dropped or outcome.note == SUPERSEDED:
            return ProcessingResult(worker_pb2.PROCESSING_STATUS_SKIPPED, "completed")
        return ProcessingResult(worker_pb2.PROCESSING_STATUS_SUCCESS, "completed")
    if isinstance(outcome, Retry):
        # The text of a bug's exception is for the log alone.
        text = outcome.error if outcome.reason != "bug" else "an error of the worker, see its log"
        error = _error(_RETRIES[outcome.reason], text, trace_id, outcome.reason)
        return ProcessingResult(worker_pb2.PROCESSING_STATUS_RETRY, "retry", error)
    return _rejected(outcome, trace_id)


def _rejected(reject: Reject, trace_id: str) -> ProcessingResult:
    exhausted = reject.reason is DeadLetterReason.RETRIES_EXHAUSTED
    code = (
        errors_pb2.ERROR_CODE_UPSTREAM_ERROR
        if exhausted
        else errors_pb2.ERROR_CODE_FAILED_PRECONDITION
    )
    status = (
        worker_pb2.PROCESSING_STATUS_FAILED
        if reject.reason is DeadLetterReason.PERMANENT_ERROR
        else worker_pb2.PROCESSING_STATUS_DLQ
    )
    return ProcessingResult(
        status, "dlq", _error(code, reject.error, trace_id, reject.reason.value)
    )


def _error(
    code: errors_pb2.ErrorCode, message: str, trace_id: str, reason: str
) -> errors_pb2.Error:
    return errors_pb2.Error(
        code=code,
        # It may quote a neighbour: characters that UTF-8 can't encode are replaced.
        message=message[:_LONGEST].encode(errors="replace").decode(),
        trace_id=trace_id,
        details=[errors_pb2.ErrorDetail(field="reason", reason=reason)],
    )


def moved(outcome: Outcome, status: types_pb2.SeatStatus) -> list[types_pb2.Seat]:
    """The seats that inventory was asked to move, with their new status."""
    if not isinstance(outcome, Ack):
        return []
    return [types_pb2.Seat(id=seat_id, status=status) for seat_id in outcome.seat_ids]
