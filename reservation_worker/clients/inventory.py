"""inventory-svc over gRPC."""

import weakref
from collections.abc import Callable, Mapping
from typing import Any

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
    # Go servers answer pings without calls with GOAWAY (docs/contract.md#inventory).
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.max_receive_message_length", 10 * 1024 * 1024),
    # HTTPS_PROXY is meant for AWS; calls about seats must not pass through it in plain text.
    # (The HTTP client ignores it too.)
    ("grpc.enable_http_proxy", 0),
    # The queue retries; a hidden retry here would double the calls in an outage.
    ("grpc.enable_retries", 0),
    # By default channels to one address share a connection, even if it is dead.
    ("grpc.use_local_subchannel_pool", 1),
    # Finds a pod that moved within seconds. By default an unanswered connect takes 20 s, the next
    # one comes up to two minutes later, and DNS is asked again after 30 s at the earliest.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 3_000),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
)

# UNIMPLEMENTED, from a server without a health service, is an answer too.
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
NO_ANSWER = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)


class _Connection:
    """A channel and its stub; the channel is closed when the last call has released this.

    Closing it earlier would end calls in flight with CANCELLED.
    """

    def __init__(self, address: str, tls: bool) -> None:
        options = list(CHANNEL_OPTIONS)
        self.channel = (
            grpc.secure_channel(address, grpc.ssl_channel_credentials(), options)
            if tls
            else grpc.insecure_channel(address, options)
        )
        self.stub = rpc.InventoryServiceStub(self.channel)  # type: ignore[no-untyped-call]
        weakref.finalize(self, self.channel.close)


class InventoryClient:
    """The Inventory port over one shared channel; safe for all pool threads.

    Raises the port's errors. Every call ends within its `call.begin()` seconds, connecting
    included.
    """

    def __init__(self, address: str, tls: bool = False) -> None:
        self._address, self._tls = address, tls
        self._connection = _Connection(address, tls)

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
        self._ask("ReleaseHold", request, call, RELEASE_STATUS_CODES, classify_release)

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
        answer = self._ask("CommitReservation", request, call, COMMIT_STATUS_CODES, classify_commit)
        return (answer.order_id or None) if answer else None

    def _ask(
        self,
        method: str,
        request: Any,
        call: CallContext,
        codes: Mapping[grpc.StatusCode, Meaning],
        classify: Callable[[Any], Meaning],
    ) -> Any:
        """The answer of a successful call; None if its gRPC status alone means that it is done."""
        connection = self._connection  # held to the end of the call
        try:
            answer = getattr(connection.stub, method)(
                request, timeout=call.begin(), metadata=call.headers
            )
        except grpc.RpcError as error:
            meaning = codes.get(error.code(), Meaning.TRANSIENT)
            if meaning is Meaning.DONE:
                return None
            raise_for(meaning, _refusal(method, error))
        finally:
            del connection  # the error's traceback would keep it alive
        meaning = classify(answer)
        if meaning is not Meaning.DONE:
            raise_for(
                meaning,
                f"inventory-svc {method}: status {answer.status}, error {answer.error.code}"
                f" {answer.error.message[:200]!r}",
            )
        return answer

    def probe(self, timeout: float) -> None:
        """A health check on a new connection, which later calls then use.

        Raises TransientError unless gRPC answers, whatever it answers, in `timeout` seconds.
        """
        self.reconnect()
        connection = self._connection
        try:
            connection.channel.unary_unary(HEALTH_CHECK, bytes, bytes)(b"", timeout=timeout)
        except grpc.RpcError as error:
            if error.code() in NO_ANSWER:
                raise TransientError(_refusal("probe", error)) from None
        finally:
            del connection

    def reconnect(self) -> None:
        """Later calls use a new connection. Calls in flight keep theirs until they end."""
        self._connection = _Connection(self._address, self._tls)

    def close(self) -> None:
        """End calls in flight and close the channel."""
        self._connection.channel.close()


def _refusal(method: str, error: grpc.RpcError) -> str:
    return f"inventory-svc {method}: {error.code().name}: {(error.details() or '')[:200]}"
