"""The worker's calls go through no proxy and to no server with an untrusted certificate.

tests/unit/clients/test_reservation_answers.py holds that redirects are not followed and that
an https base needs a good certificate.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from reservation_worker.clients.inventory import InventoryClient
from reservation_worker.clients.ports import CallContext, Seats
from reservation_worker.clients.reservation import ReservationClient
from reservation_worker.errors import TransientError
from reservation_worker.events.parse import TraceHints
from reservation_worker.observability.otlp import exporter
from reservation_worker.observability.tracing import Tracing, read_trace
from tests.fake_queue import PATIENCE
from tests.proxy import refusing_proxy
from tests.unit.clients.http_neighbour import self_signed

CALL = CallContext(timeout=10.0)
# A reserved name that does not resolve, so only a proxy could be asked for it.
NOWHERE = "neighbour.invalid"


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """The first bytes that each client sends to a proxy that all usual variables name."""
    with refusing_proxy() as (address, asked):
        for name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy"):
            monkeypatch.setenv(name, f"http://user:password@{address}")
            monkeypatch.setenv(name.upper(), f"http://user:password@{address}")
        for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield asked


def release(address: str, tls: bool) -> None:
    client = InventoryClient(address, tls)
    try:
        client.release(Seats("rsv_1", "show", ("A1",), 1), "EXPIRED", CALL)
    finally:
        client.close()


def get(base: str) -> None:
    client = ReservationClient(base, connections=1)
    try:
        client.get("rsv_1", CALL)
    finally:
        client.close()


@pytest.mark.parametrize(
    "call",
    [
        lambda: release(f"{NOWHERE}:8021", tls=False),
        lambda: release(f"{NOWHERE}:8021", tls=True),
        lambda: get(f"http://{NOWHERE}:8010"),
        lambda: get(f"https://{NOWHERE}:8010"),
    ],
    ids=["inventory", "inventory, TLS", "reservation-api", "reservation-api, https"],
)
def test_no_call_to_a_neighbour_goes_through_the_environments_proxy(
    proxy: list[bytes], call: Callable[[], None]
) -> None:
    with pytest.raises(TransientError):
        call()
    assert proxy == []


def test_a_channel_without_our_options_would_use_the_proxy(proxy: list[bytes]) -> None:
    with grpc.insecure_channel(f"{NOWHERE}:8021") as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary("/x/Y")(b"", timeout=CALL.timeout)
    assert proxy[0].startswith(f"CONNECT {NOWHERE}:8021".encode())


class _Impostor(grpc.GenericRpcHandler):
    """Answers every call of every service."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        self.calls.append(details.method)
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")


def self_certified(directory: Path) -> grpc.ServerCredentials:
    pem = directory / "server.pem"
    self_signed(pem)
    return grpc.ssl_server_credentials([(pem.read_bytes(), pem.read_bytes())])


@contextmanager
def impostor(credentials: grpc.ServerCredentials | None) -> Iterator[tuple[_Impostor, str]]:
    """A gRPC server with a self-signed certificate; without credentials it speaks no TLS."""
    made = _Impostor()
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((made,))
    address = "127.0.0.1:0"
    port = (
        server.add_secure_port(address, credentials)
        if credentials
        else server.add_insecure_port(address)
    )
    server.start()
    try:
        yield made, f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize("certified", [True, False], ids=["self-signed", "plain text"])
def test_an_inventory_with_an_untrusted_certificate_is_down_and_sees_no_call(
    tmp_path: Path, certified: bool
) -> None:
    with impostor(self_certified(tmp_path) if certified else None) as (made, address):
        with pytest.raises(TransientError):
            release(address, tls=True)
        assert made.calls == []


@pytest.mark.parametrize("certified", [True, False], ids=["self-signed", "plain text"])
def test_a_collector_with_an_untrusted_certificate_sees_no_span(
    tmp_path: Path, certified: bool
) -> None:
    with impostor(self_certified(tmp_path) if certified else None) as (made, address):
        tracing = Tracing("pod-1", "q", exporter(address, insecure=False))
        with tracing.message_span("payment.approved", "rsv_1", "m", read_trace(TraceHints(), None)):
            pass
        tracing.shutdown(1.0)
        assert made.calls == []


def test_the_impostor_answers_clients_that_trust_it(tmp_path: Path) -> None:
    with impostor(self_certified(tmp_path)) as (made, address):
        trust = grpc.ssl_channel_credentials((tmp_path / "server.pem").read_bytes())
        with grpc.secure_channel(address, trust) as channel:
            assert channel.unary_unary("/x/Y")(b"", timeout=PATIENCE) == b""
        assert made.calls == ["/x/Y"]
