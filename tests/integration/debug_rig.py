"""A whole worker on a fake queue, and a client of its debug server over real gRPC."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from reservation_worker.outcome import Outcome
from reservation_worker.pipeline.neighbours import INVENTORY
from reservation_worker.stubs.proto.reservation.v1 import worker_pb2 as pb
from reservation_worker.stubs.proto.reservation.v1 import worker_pb2_grpc
from tests.fake_queue import PATIENCE, eventually
from tests.integration.worker_rig import Worker

Status = health_pb2.HealthCheckResponse


class Client:
    """A started worker and a channel to its debug server."""

    def __init__(self, made: Worker) -> None:
        self.worker = made
        made.app.start()
        eventually(lambda: made.app.pipeline.poller.has_received)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{made.app.debug.port}")
        stub: Any = worker_pb2_grpc
        self.service: Any = stub.WorkerServiceStub(self.channel)
        self.health: Any = health_pb2_grpc.HealthStub(self.channel)
        self.threads = ThreadPoolExecutor(8)

    def expire(self, reservation: str, **more: Any) -> pb.ProcessReservationExpiryResponse:
        timeout = more.pop("timeout", PATIENCE)
        request = pb.ProcessReservationExpiryRequest(reservation_id=reservation, **more)
        answer: pb.ProcessReservationExpiryResponse = self.service.ProcessReservationExpiry(
            request, timeout=timeout
        )
        return answer

    def pay(self, reservation: str, kind: str, **more: Any) -> pb.ProcessPaymentResultResponse:
        result = pb.PaymentResultType.Value(f"PAYMENT_RESULT_TYPE_{kind}")
        request = pb.ProcessPaymentResultRequest(
            reservation_id=reservation, result_type=result, **more
        )
        answer: pb.ProcessPaymentResultResponse = self.service.ProcessPaymentResult(
            request, timeout=PATIENCE
        )
        return answer

    def expiring(self, reservation: str, **more: Any) -> Future[Any]:
        return self.threads.submit(self.expire, reservation, **more)

    def close(self) -> None:
        self.worker.work.let_go()
        self.threads.shutdown()
        self.channel.close()


MakeClient = Callable[..., Client]


def refused(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    """The status and the text of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    return error.code(), error.details()


def fail(error: Exception) -> Outcome:
    raise error


def trip(made: Worker) -> None:
    breaker = made.app.pipeline.breakers.of(INVENTORY)
    for number in range(10):
        breaker.record(breaker.admit(), f"m{number}", ok=False)
