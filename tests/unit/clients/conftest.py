"""Both neighbours as test servers, and a client of each."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from reservation_worker.clients.inventory import InventoryClient
from reservation_worker.clients.reservation import ReservationClient
from tests.unit.clients import grpc_neighbour
from tests.unit.clients.http_neighbour import Neighbour, self_signed


@pytest.fixture(scope="module")
def server() -> Iterator[Neighbour]:
    with Neighbour() as made:
        yield made


@pytest.fixture
def neighbour(server: Neighbour) -> Neighbour:
    server.requests.clear()
    server.authorizations.clear()
    server.connections = 0
    return server


@pytest.fixture
def client(neighbour: Neighbour) -> Iterator[ReservationClient]:
    made = ReservationClient(neighbour.base, connections=2)
    yield made
    made.close()


@pytest.fixture
def tls_neighbour(tmp_path: Path) -> Iterator[Neighbour]:
    with Neighbour(self_signed(tmp_path / "server.pem")) as made:
        yield made


@pytest.fixture
def tls_client(
    tls_neighbour: Neighbour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ReservationClient]:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))  # OpenSSL's own variable
    made = ReservationClient(tls_neighbour.base, connections=1)
    yield made
    made.close()


@pytest.fixture
def closed_port() -> Iterator[int]:
    # Bound, but nobody listens: connections are refused and nobody else can take the port.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(scope="module")
def inventory_server() -> Iterator[grpc_neighbour.Neighbour]:
    with grpc_neighbour.serving() as made:
        yield made


@pytest.fixture
def inventory(inventory_server: grpc_neighbour.Neighbour) -> grpc_neighbour.Neighbour:
    inventory_server.requests.clear()
    inventory_server.metadata.clear()
    return inventory_server


@pytest.fixture(scope="module")
def inventory_client(inventory_server: grpc_neighbour.Neighbour) -> Iterator[InventoryClient]:
    made = InventoryClient(inventory_server.address)
    yield made
    made.close()
