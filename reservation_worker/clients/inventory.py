"""inventory-svc over gRPC."""

import grpc

from reservation_worker.clients.inventory_answers import (
    COMMIT_STATUS_CODES,
    RELEASE_STATUS_CODES,
    classify_commit,
    classify_release,
)
from reservation_worker.clients.meaning import Meaning, raise_for
from reservation_worker.clients.ports import CallContext, Seats
from reservation_worker.errors import TransientError
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
        meaning = classify_release(answer)
        if meaning is not Meaning.DONE:
            raise_for(meaning, _in_band("ReleaseHold", answer))

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
        meaning = classify_commit(answer)
        if meaning is not Meaning.DONE:
            raise_for(meaning, _in_band("CommitReservation", answer))
        return answer.order_id or None

    def probe(self, timeout: float) -> None:
        """Wait until the channel is connected. Raises TransientError after `timeout` seconds."""
        ready = grpc.channel_ready_future(self._channel)
        try:
            ready.result(timeout=timeout)
        except grpc.FutureTimeoutError:
            raise TransientError("inventory-svc: the channel does not get ready") from None
        finally:
            ready.cancel()

    def close(self) -> None:
        """End calls in flight and close the channel."""
        self._channel.close()

    @staticmethod
    def _refused(name: str, error: grpc.RpcError, table: dict[grpc.StatusCode, Meaning]) -> None:
        code = error.code()
        meaning = table.get(code, Meaning.TRANSIENT)
        if meaning is Meaning.DONE:
            return
        text = f"inventory-svc {name}: {code.name}: {(error.details() or '')[:200]}"
        raise_for(meaning, text)
