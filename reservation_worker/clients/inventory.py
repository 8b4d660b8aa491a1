"""inventory-svc over gRPC: the calls, and the tables that say what each answer means."""

import grpc

from reservation_worker.clients.ports import CallContext, Seats
from reservation_worker.clients.verdict import Verdict, raise_for
from reservation_worker.errors import NeighbourDown
from reservation_worker.stubs.proto.common.v1 import errors_pb2 as errors
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2 as pb
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2_grpc as rpc

CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Go servers answer pings without calls with GOAWAY (contract, section 3).
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.max_receive_message_length", 10 * 1024 * 1024),
    # HTTPS_PROXY is for AWS; no seat goes to it in plain text. (urllib3's pools don't ask either.)
    ("grpc.enable_http_proxy", 0),
    # A retry is the queue's work; a hidden one here would double calls in an outage.
    ("grpc.enable_retries", 0),
    # gRPC's default waits up to two minutes, longer than our breaker's probes.
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


_Status = grpc.StatusCode
STATUS = {
    _Status.UNAVAILABLE: Verdict.DOWN,
    _Status.DEADLINE_EXCEEDED: Verdict.DOWN,
    _Status.RESOURCE_EXHAUSTED: Verdict.TRANSIENT,
    _Status.ABORTED: Verdict.TRANSIENT,
    _Status.CANCELLED: Verdict.TRANSIENT,
    _Status.INTERNAL: Verdict.TRANSIENT,
    _Status.UNKNOWN: Verdict.TRANSIENT,
    _Status.UNIMPLEMENTED: Verdict.DOWN,
    _Status.UNAUTHENTICATED: Verdict.DOWN,
    _Status.PERMISSION_DENIED: Verdict.DOWN,
    _Status.INVALID_ARGUMENT: Verdict.PERMANENT,
    _Status.FAILED_PRECONDITION: Verdict.PERMANENT,
    _Status.OUT_OF_RANGE: Verdict.PERMANENT,
    _Status.DATA_LOSS: Verdict.PERMANENT,
}
# NOT_FOUND on a commit means that the seats are gone: the customer paid for none.
RELEASE_STATUS_CODES = STATUS | {
    _Status.NOT_FOUND: Verdict.DONE,
    _Status.ALREADY_EXISTS: Verdict.DONE,
}
COMMIT_STATUS_CODES = STATUS | {
    _Status.NOT_FOUND: Verdict.PERMANENT,
    _Status.ALREADY_EXISTS: Verdict.DONE,
}

# In-band error codes. Every code that is known and not named here is PERMANENT.
ERROR = dict.fromkeys(errors.ErrorCode.values(), Verdict.PERMANENT) | {
    errors.ERROR_CODE_UNAUTHENTICATED: Verdict.DOWN,
    errors.ERROR_CODE_FORBIDDEN: Verdict.DOWN,
    errors.ERROR_CODE_UNAUTHORIZED: Verdict.DOWN,
    errors.ERROR_CODE_RATE_LIMITED: Verdict.TRANSIENT,
    errors.ERROR_CODE_QUOTA_EXCEEDED: Verdict.TRANSIENT,
    errors.ERROR_CODE_INTERNAL: Verdict.TRANSIENT,
    errors.ERROR_CODE_UNAVAILABLE: Verdict.TRANSIENT,
    errors.ERROR_CODE_TIMEOUT: Verdict.TRANSIENT,
    errors.ERROR_CODE_UPSTREAM_TIMEOUT: Verdict.TRANSIENT,
    errors.ERROR_CODE_UPSTREAM_ERROR: Verdict.TRANSIENT,
    errors.ERROR_CODE_CONCURRENT_MODIFICATION: Verdict.TRANSIENT,
}
RELEASE_ERROR = ERROR | {
    errors.ERROR_CODE_NOT_FOUND: Verdict.DONE,
    errors.ERROR_CODE_ALREADY_EXISTS: Verdict.DONE,
}
COMMIT_ERROR = ERROR | {errors.ERROR_CODE_ALREADY_EXISTS: Verdict.DONE}

# In-band statuses that stand whatever the error code says; the others leave it to the code.
RELEASE_STATUS = {
    pb.RELEASE_STATUS_ALREADY_RELEASED: Verdict.DONE,
    pb.RELEASE_STATUS_NOT_FOUND: Verdict.DONE,
}
COMMIT_STATUS = {
    pb.COMMIT_STATUS_FAILED_PAYMENT: Verdict.PERMANENT,
    pb.COMMIT_STATUS_FAILED_EXPIRED: Verdict.PERMANENT,
    pb.COMMIT_STATUS_FAILED_CONFLICT: Verdict.PERMANENT,
}


def judge_release(answer: pb.ReleaseHoldResponse) -> Verdict:
    """The verdict on a ReleaseHold that gRPC called OK."""
    if answer.status not in pb.ReleaseStatus.values():
        return Verdict.TRANSIENT
    if answer.status in RELEASE_STATUS:
        return RELEASE_STATUS[answer.status]
    if answer.error.code:
        return RELEASE_ERROR.get(answer.error.code, Verdict.TRANSIENT)
    failed = answer.status == pb.RELEASE_STATUS_FAILED
    return Verdict.TRANSIENT if failed else Verdict.DONE


def judge_commit(answer: pb.CommitReservationResponse) -> Verdict:
    """The verdict on a CommitReservation that gRPC called OK."""
    if answer.status not in pb.CommitStatus.values():
        return Verdict.TRANSIENT
    if answer.status in COMMIT_STATUS:
        return COMMIT_STATUS[answer.status]
    if answer.error.code:
        return COMMIT_ERROR.get(answer.error.code, Verdict.TRANSIENT)
    return Verdict.DONE


def _in_band(call: str, answer: pb.ReleaseHoldResponse | pb.CommitReservationResponse) -> str:
    return (
        f"inventory-svc {call}: status {answer.status}, error {answer.error.code}"
        f" {answer.error.message[:200]!r}"
    )


class InventoryClient:
    """The Inventory port over one shared channel; safe for all pool threads.

    Raises what the port says. Every call ends within its `call.timeout` seconds, connecting
    included.
    """

    def __init__(self, address: str, tls: bool = False) -> None:
        options = list(CHANNEL_OPTIONS)
        self._channel = (
            grpc.secure_channel(address, grpc.ssl_channel_credentials(), options)
            if tls
            else grpc.insecure_channel(address, options)
        )
        self._stub = rpc.InventoryServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def release(self, seats: Seats, reason: str, call: CallContext) -> None:
        """ReleaseHold under the key `release:<reservation_id>`."""
        request = pb.ReleaseHoldRequest(
            reservation_id=seats.reservation_id,
            event_id=seats.event_id,
            seat_ids=seats.seat_ids,
            quantity=seats.quantity,
            reason=reason,
            idempotency_key=f"release:{seats.reservation_id}",
        )
        try:
            answer = self._stub.ReleaseHold(request, timeout=call.timeout, metadata=call.headers)
        except grpc.RpcError as error:
            self._refused("ReleaseHold", error, RELEASE_STATUS_CODES)
            return
        verdict = judge_release(answer)
        if verdict is not Verdict.DONE:
            raise_for(verdict, _in_band("ReleaseHold", answer))

    def commit(
        self, seats: Seats, payment_intent_id: str, user_id: str, call: CallContext
    ) -> str | None:
        """CommitReservation under the key `commit:<reservation_id>`."""
        request = pb.CommitReservationRequest(
            reservation_id=seats.reservation_id,
            event_id=seats.event_id,
            seat_ids=seats.seat_ids,
            quantity=seats.quantity,
            payment_intent_id=payment_intent_id,
            user_id=user_id,
            idempotency_key=f"commit:{seats.reservation_id}",
        )
        try:
            answer = self._stub.CommitReservation(
                request, timeout=call.timeout, metadata=call.headers
            )
        except grpc.RpcError as error:
            self._refused("CommitReservation", error, COMMIT_STATUS_CODES)
            return None
        verdict = judge_commit(answer)
        if verdict is not Verdict.DONE:
            raise_for(verdict, _in_band("CommitReservation", answer))
        return answer.order_id or None

    def probe(self, timeout: float) -> None:
        """Wait until the channel is connected. Raises NeighbourDown after `timeout` seconds."""
        ready = grpc.channel_ready_future(self._channel)
        try:
            ready.result(timeout=timeout)
        except grpc.FutureTimeoutError:
            raise NeighbourDown("inventory-svc: the channel does not get ready") from None
        finally:
            ready.cancel()

    def close(self) -> None:
        """End calls in flight and close the channel."""
        self._channel.close()

    @staticmethod
    def _refused(name: str, error: grpc.RpcError, table: dict[grpc.StatusCode, Verdict]) -> None:
        code = error.code()
        verdict = table.get(code, Verdict.TRANSIENT)
        if verdict is Verdict.DONE:
            return
        text = f"inventory-svc {name}: {code.name}: {(error.details() or '')[:200]}"
        raise_for(verdict, text)
