"""Broken connections to inventory-svc: always a TransientError, always in time."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import grpc
import pytest

from reservation_worker.clients.inventory import InventoryClient
from reservation_worker.clients.ports import CallContext
from reservation_worker.errors import LeaseLost, TransientError
from reservation_worker.stubs.proto.reservation.v1 import inventory_pb2 as pb
from tests.fake_queue import eventually
from tests.unit.clients.grpc_neighbour import (
    Neighbour,
    assert_means,
    release,
    serving,
)
from tests.unit.clients.networks import NameServer, Proxy, full_backlog

TRANSIENT = TransientError
Status = grpc.StatusCode
Release = pb.ReleaseHoldResponse


# Every call ends in time.


def test_a_call_ends_at_its_deadline(
    inventory: Neighbour, inventory_client: InventoryClient
) -> None:
    enough = threading.Event()
    ended = threading.Event()

    def block(request: Any, context: grpc.ServicerContext) -> Any:
        context.add_callback(ended.set)
        enough.wait(30)
        return Release()

    inventory.behave = block
    try:
        assert_means(TRANSIENT, lambda: release(inventory_client, CallContext(timeout=0.2)))
        # The call is cancelled at the server too.
        assert ended.wait(10)
    finally:
        enough.set()


def test_the_deadline_reaches_the_server(
    inventory: Neighbour, inventory_client: InventoryClient
) -> None:
    left: list[float] = []

    def note(request: Any, context: grpc.ServicerContext) -> Any:
        left.append(context.time_remaining())
        return Release()

    inventory.behave = note
    release(inventory_client, CallContext(timeout=7.0))
    assert 2.0 < left[0] < 8.0  # gRPC rounds it up


def test_a_failed_call_is_not_retried_by_grpc(
    inventory: Neighbour, inventory_client: InventoryClient
) -> None:
    inventory.refuse(Status.UNAVAILABLE)
    assert_means(TRANSIENT, lambda: release(inventory_client))
    assert len(inventory.requests) == 1


def test_an_unreachable_neighbour_is_down_long_before_the_deadline(closed_port: int) -> None:
    inventory_client = InventoryClient(f"127.0.0.1:{closed_port}")
    try:
        # With wait_for_ready the call would end only at its deadline, and the test at its timeout.
        with pytest.raises(TransientError, match="UNAVAILABLE"):
            release(inventory_client, CallContext(timeout=100.0))
    finally:
        inventory_client.close()


def test_a_neighbour_that_accepts_but_never_speaks_is_down_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        inventory_client = InventoryClient(f"127.0.0.1:{silent.getsockname()[1]}")
        try:
            with pytest.raises(TransientError):
                release(inventory_client, CallContext(timeout=0.3))
        finally:
            inventory_client.close()


def test_a_neighbour_that_speaks_plaintext_to_a_tls_client_is_down(
    inventory_server: Neighbour,
) -> None:
    inventory_client = InventoryClient(inventory_server.address, tls=True)
    try:
        with pytest.raises(TransientError):
            release(inventory_client)
    finally:
        inventory_client.close()


# The probe of an open breaker.


def test_the_probe_accepts_a_server_without_a_health_service(
    inventory: Neighbour, inventory_client: InventoryClient
) -> None:
    inventory_client.probe(timeout=10.0)
    assert inventory.requests == []


def test_the_probe_fails_where_nobody_listens(closed_port: int) -> None:
    inventory_client = InventoryClient(f"127.0.0.1:{closed_port}")
    with pytest.raises(TransientError, match="UNAVAILABLE"):
        inventory_client.probe(timeout=10.0)
    inventory_client.close()


def test_the_probe_fails_where_connections_work_and_answers_do_not_come() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        inventory_client = InventoryClient(f"127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(TransientError):
            inventory_client.probe(timeout=0.3)
        inventory_client.close()


@pytest.fixture
def proxied(inventory: Neighbour) -> Iterator[tuple[Proxy, InventoryClient]]:
    inventory.answer(Release())
    with Proxy(inventory.port) as proxy:
        inventory_client = InventoryClient(f"127.0.0.1:{proxy.port}")
        yield proxy, inventory_client
        inventory_client.close()


def test_after_the_probe_calls_use_its_connection_and_not_the_black_holed_one(
    proxied: tuple[Proxy, InventoryClient],
) -> None:
    proxy, inventory_client = proxied
    release(inventory_client)
    proxy.black_hole()
    for _ in range(2):  # the dead connection is kept
        assert_means(TRANSIENT, lambda: release(inventory_client, CallContext(timeout=0.3)))
    assert proxy.connections == 1
    inventory_client.probe(timeout=10.0)
    release(inventory_client)
    assert proxy.connections == 2
    eventually(lambda: proxy.hang_ups == 1)


def test_after_reconnect_a_call_in_flight_keeps_its_connection_until_it_ends(
    inventory: Neighbour, proxied: tuple[Proxy, InventoryClient]
) -> None:
    proxy, inventory_client = proxied
    arrived, go_on = threading.Event(), threading.Event()

    def slow(request: Any, context: grpc.ServicerContext) -> Any:
        arrived.set()
        go_on.wait(10)
        return Release()

    inventory.behave = slow
    with ThreadPoolExecutor(1) as pool:
        in_flight = pool.submit(release, inventory_client)
        assert arrived.wait(10)
        inventory_client.reconnect()
        inventory.answer(Release())
        release(inventory_client)
        assert (proxy.connections, proxy.hang_ups) == (2, 0)
        go_on.set()
        in_flight.result()
    eventually(lambda: proxy.hang_ups == 1)
    release(inventory_client)
    assert proxy.connections == 2


# A name whose address changes.


def settled(inventory_client: InventoryClient) -> bool:
    try:
        release(inventory_client)
    except TransientError:
        return False
    return True


@pytest.mark.parametrize("old_address", ["refuses", "is silent"])
def test_a_pod_that_moved_is_found_within_15_seconds(old_address: str) -> None:
    with NameServer("127.0.0.1") as names, serving() as old:
        old.answer(Release())
        port = old.port
        inventory_client = InventoryClient(
            f"dns://127.0.0.1:{names.port}/inventory-svc.test:{port}"
        )
        release(inventory_client)
        old.stop()
        with ExitStack() as stack:
            if old_address == "is silent":
                stack.enter_context(full_backlog("127.0.0.1", port))
            assert not settled(inventory_client)
            new = stack.enter_context(serving("127.0.0.2", port))
            new.answer(Release())
            names.address = "127.0.0.2"
            moved = time.monotonic()
            eventually(lambda: settled(inventory_client), 60)
            assert time.monotonic() - moved < 15
        inventory_client.close()


def test_a_call_that_may_not_start_any_more_is_not_sent(
    inventory: Neighbour, inventory_client: InventoryClient
) -> None:
    def over() -> float:
        raise LeaseLost("over")

    with pytest.raises(LeaseLost):
        release(inventory_client, CallContext(10.0, left=over))
    assert inventory.requests == []
