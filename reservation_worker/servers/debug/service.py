"""reservation.v1.WorkerService: reports the worker's state, and settles reservations by hand."""

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol, TypeVar

import grpc
from loguru import logger

from reservation_worker.errors import InvalidEvent, NotNow
from reservation_worker.events.kinds import Kind
from reservation_worker.outcome import Outcome
from reservation_worker.servers.debug.state import WorkerState
from reservation_worker.servers.debug.translate import (
    ProcessingResult,
    expiry_event,
    moved,
    payment_event,
    processing_result,
)
from reservation_worker.stubs.proto.common.v1 import types_pb2
from reservation_worker.stubs.proto.reservation.v1 import worker_pb2, worker_pb2_grpc

MOST_WRITES = 2
"""The limit of settlements at the same time, so that threads are left for reads."""
PATIENCE = 10.0
"""The longest wait of a settlement for another of the same reservation, in seconds."""

_ASKED = "asked over the debug server: {}"
_TYPES = (*(kind.event_type for kind in Kind), "unknown")

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class Handle(Protocol):
    """(body, attempt, patience in seconds) → outcome and trace id; see DirectHandler."""

    def __call__(self, body: str, attempt: int, patience: float) -> tuple[Outcome, str]: ...


class _Refused(Exception):
    """Ends the call with a status and a text for the caller."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code


Call = Callable[["WorkerService", Request, grpc.ServicerContext], Answer]


def _answered(call: Call[Request, Answer]) -> Call[Request, Answer]:
    """`call`, whose exceptions become statuses; no text of a bug gets out."""

    @wraps(call)
    def answer(service: "WorkerService", request: Request, context: grpc.ServicerContext) -> Answer:
        try:
            return call(service, request, context)
        except _Refused as refused:
            context.abort(refused.code, str(refused))
        except Exception:
            logger.exception("a call of the debug server failed")
            context.abort(grpc.StatusCode.INTERNAL, "an error of the worker, see its log")

    return answer


class WorkerService(worker_pb2_grpc.WorkerServiceServicer):
    """The calls. Without `handle` the calls that write are refused."""

    def __init__(self, state: WorkerState, handle: Handle | None) -> None:
        self._state = state
        self._handle = handle
        self._room = threading.BoundedSemaphore(MOST_WRITES)

    @_answered
    def HealthCheck(
        self, request: worker_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> worker_pb2.HealthCheckResponse:
        """The state of the worker."""
        if request.worker_instance_id not in ("", self._state.worker_id):
            raise _Refused(
                grpc.StatusCode.NOT_FOUND,
                f"this worker is {self._state.worker_id}; leave worker_instance_id empty to ask it",
            )
        return self._state.health()

    @_answered
    def GetJobStatus(
        self, request: worker_pb2.GetJobStatusRequest, context: grpc.ServicerContext
    ) -> worker_pb2.GetJobStatusResponse:
        """The messages being handled, and the last deliveries."""
        if request.event_type not in ("", *_TYPES):
            raise _Refused(
                grpc.StatusCode.INVALID_ARGUMENT, f"event_type is not one of {', '.join(_TYPES)}"
            )
        return self._state.jobs(request.job_id, request.event_type)

    @_answered
    def ProcessReservationExpiry(
        self, request: worker_pb2.ProcessReservationExpiryRequest, context: grpc.ServicerContext
    ) -> worker_pb2.ProcessReservationExpiryResponse:
        """Settle a reservation whose hold has expired."""
        outcome, found = self._process(expiry_event, request, context)
        return worker_pb2.ProcessReservationExpiryResponse(
            status=found.status,
            released_seats=moved(outcome, types_pb2.SEAT_STATUS_AVAILABLE),
            processed_at=self._state.now(),
            next_action=found.next_action,
            error=found.error,
        )

    @_answered
    def ProcessPaymentResult(
        self, request: worker_pb2.ProcessPaymentResultRequest, context: grpc.ServicerContext
    ) -> worker_pb2.ProcessPaymentResultResponse:
        """Settle a reservation by the result of its payment."""
        outcome, found = self._process(payment_event, request, context)
        sold = request.result_type == worker_pb2.PAYMENT_RESULT_TYPE_APPROVED
        status = types_pb2.SEAT_STATUS_SOLD if sold else types_pb2.SEAT_STATUS_AVAILABLE
        return worker_pb2.ProcessPaymentResultResponse(
            status=found.status,
            order_id=getattr(outcome, "order_id", None) or "",
            affected_seats=moved(outcome, status),
            processed_at=self._state.now(),
            next_action=found.next_action,
            error=found.error,
        )

    def ProcessCompensation(
        self, request: worker_pb2.ProcessCompensationRequest, context: grpc.ServicerContext
    ) -> worker_pb2.ProcessCompensationResponse:
        """Refused: compensation is done by people."""
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            "the worker compensates nothing by itself: list the payments by `reservation-worker"
            " dlq compensations`, refund at the payment provider, and free seats by"
            " ProcessReservationExpiry or ProcessPaymentResult",
        )

    def _process(
        self, event: Callable[[Request], str], request: Request, context: grpc.ServicerContext
    ) -> tuple[Outcome, ProcessingResult]:
        asked: Any = request
        if self._handle is None:
            raise _Refused(
                grpc.StatusCode.PERMISSION_DENIED,
                "this server is read-only: start the worker with GRPC_DEBUG_ALLOW_WRITE=true to"
                " settle here",
            )
        if asked.retry_count < 0:
            raise _Refused(grpc.StatusCode.INVALID_ARGUMENT, "retry_count is below 0")
        if not self._room.acquire(blocking=False):
            raise _Refused(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"{MOST_WRITES} settlements are under way here: try again when one has ended",
            )
        line = logger.bind(reservation_id=asked.reservation_id, peer=context.peer())
        try:
            remaining: float | None = context.time_remaining()
            patience = PATIENCE if remaining is None else min(PATIENCE, remaining)
            outcome, trace_id = self._handle(event(request), asked.retry_count + 1, patience)
        except InvalidEvent as error:
            raise _Refused(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from error
        except NotNow as error:
            # It may have begun, and its effects so far stand.
            line.bind(error=str(error)).warning(_ASKED, type(request).__name__)
            raise _Refused(grpc.StatusCode.UNAVAILABLE, str(error)) from error
        finally:
            self._room.release()
        found = processing_result(outcome, trace_id)
        line.bind(
            trace_id=trace_id,
            outcome=worker_pb2.ProcessingStatus.Name(found.status),
            error=found.error.message if found.error else None,
        ).warning(_ASKED, type(request).__name__)
        return outcome, found
