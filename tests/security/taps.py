"""Taps between a worker and its neighbours that record each request and pass it on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import urllib3

from tests.unit.clients.http_neighbour import Neighbour, Request


@dataclass(frozen=True)
class Seen:
    """One request as it came: the raw target, every header in order, the raw body."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass
class Taps:
    """The addresses for the worker's settings, and the requests so far."""

    http_base: str = ""
    grpc_address: str = ""
    http: list[Seen] = field(default_factory=list)
    grpc: list[Seen] = field(default_factory=list)
    # First lines that are not HTTP, as a forged line break would produce.
    unreadable: list[bytes] = field(default_factory=list)


class AnyMethod(Request):
    """Accepts every method; its base class knows two."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self.do_PATCH
        raise AttributeError(name)


class _Watched(AnyMethod):
    """Records unreadable requests, too."""

    taps: Taps

    def parse_request(self) -> bool:
        readable = super().parse_request()
        if not readable:
            self.taps.unreadable.append(self.raw_requestline)
        return readable


class _Forwarder(grpc.GenericRpcHandler):
    """Any method of any service, its messages as bytes."""

    def __init__(self, taps: Taps, channel: grpc.Channel) -> None:
        self._taps = taps
        self._channel = channel

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def forward(request: bytes, context: grpc.ServicerContext) -> Any:
            metadata = tuple((str(key), str(value)) for key, value in context.invocation_metadata())
            self._taps.grpc.append(Seen("gRPC", details.method, metadata, request))
            call = self._channel.unary_unary(details.method)
            own = [pair for pair in metadata if pair[0] != "user-agent"]
            try:
                return call(request, timeout=context.time_remaining(), metadata=own)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())

        return grpc.unary_unary_rpc_method_handler(forward)


@contextmanager
def tapped(reservation_base: str, inventory_address: str) -> Iterator[Taps]:
    """Taps in front of both neighbours."""
    taps = Taps()
    pool = urllib3.PoolManager(maxsize=30)

    def forward(request: Request) -> None:
        headers = tuple(request.headers.items())
        taps.http.append(Seen(request.command, request.path, headers, request.body))
        answer = pool.request(
            request.command,
            reservation_base + request.path,
            body=request.body,
            headers=dict(headers),
            redirect=False,
            retries=False,
        )
        request.reply(answer.status, answer.data, Content_Type=answer.headers["Content-Type"] or "")

    server = grpc.server(ThreadPoolExecutor(30))
    port = server.add_insecure_port("127.0.0.1:0")
    with Neighbour() as http, grpc.insecure_channel(inventory_address) as channel:
        http.answer = forward
        http.RequestHandlerClass = type("Watched", (_Watched,), {"taps": taps})
        server.add_generic_rpc_handlers((_Forwarder(taps, channel),))
        server.start()
        taps.http_base, taps.grpc_address = http.base, f"127.0.0.1:{port}"
        try:
            yield taps
        finally:
            server.stop(None).wait()
            pool.clear()
