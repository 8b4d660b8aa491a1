"""inventory-svc for tests: a gRPC server whose answers a test sets."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from reservation_worker.clients.inventory import InventoryClient
from reservation_worker.clients.ports import CallContext, Seats
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2_grpc as rpc

SEATS = Seats("rsv_1", "concert", ("A1", "A2"), 2)
CALL = CallContext(timeout=10.0)
Meaning = type[Exception] | None
"""The error that a call raises; None: it returns."""


class Neighbour(rpc.InventoryServiceServicer):
    """inventory-svc with an answer that a test sets; it keeps the requests."""

    def __init__(self) -> None:
        self.behave: Callable[[Any, grpc.ServicerContext], Any]
        self.requests: list[Any] = []
        self.metadata: list[dict[str, Any]] = []
        self.port = 0
        self.stop: Callable[[], Any]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def answer(self, message: Any) -> None:
        self.behave = lambda request, context: message

    def refuse(self, code: grpc.StatusCode) -> None:
        self.behave = lambda request, context: context.abort(code, "because of the test")

    def _serve(self, request: Any, context: grpc.ServicerContext) -> Any:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        return self.behave(request, context)

    ReleaseHold = CommitReservation = _serve


@contextmanager
def serving(host: str = "127.0.0.1", port: int = 0) -> Iterator[Neighbour]:
    neighbour = Neighbour()
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
        rpc.add_InventoryServiceServicer_to_server(neighbour, server)
        neighbour.port = server.add_insecure_port(f"{host}:{port}")
        neighbour.stop = lambda: server.stop(grace=None).wait()
        server.start()
        yield neighbour
        neighbour.stop()


def release(client: InventoryClient, call: CallContext = CALL) -> None:
    client.release(SEATS, "EXPIRED", call)


def commit(client: InventoryClient, call: CallContext = CALL) -> str | None:
    return client.commit(SEATS, "pay_1", "usr_1", call)


def assert_means(meaning: Meaning, call: Callable[[], Any]) -> None:
    raised: Exception | None = None
    try:
        call()
    except Exception as error:
        raised = error
    assert (raised if raised is None else type(raised)) is meaning, f"{raised!r}"
