"""A call of reservation-api ends at its deadline, whatever is slow."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reservation_worker.clients.ports import CallContext
from reservation_worker.clients.reservation import ReservationClient
from reservation_worker.errors import LeaseLost
from tests.unit.clients.broken import (
    GENEROUS,
    HUGE,
    SOON,
    assert_ends_soon,
    silence,
)
from tests.unit.clients.http_neighbour import (
    CALL,
    DONE,
    EXPIRE,
    TRANSIENT,
    Answer,
    Neighbour,
    Request,
    raises,
)
from tests.unit.clients.networks import full_backlog


def drip(request: Request, before: bytes) -> None:
    """One byte now and then, each within any timeout of a single read."""
    request.wfile.write(before)
    while not request.server.closing.wait(SOON / 10):
        request.wfile.write(b"x")


def drip_a_status_line(request: Request) -> None:
    drip(request, b"")


def drip_a_header(request: Request) -> None:
    drip(request, b"HTTP/1.1 200 OK\r\nX-Slow: ")


def drip_a_body(request: Request) -> None:
    drip(request, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")


def drip_chunks(request: Request) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not request.server.closing.wait(SOON / 10):
        request.wfile.write(b"1\r\nx\r\n")


def drip_continues(request: Request) -> None:
    while not request.server.closing.wait(SOON / 10):
        request.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")


@pytest.mark.parametrize(
    "answer",
    [silence, drip_a_status_line, drip_a_header, drip_a_body, drip_chunks, drip_continues],
)
@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
def test_a_call_ends_at_its_deadline_however_slow_the_neighbour_is(
    neighbour: Neighbour, client: ReservationClient, answer: Answer, kept: bool
) -> None:
    if kept:
        neighbour.says(204)
        client.update_status(EXPIRE, CALL)
    neighbour.answer = answer
    assert_ends_soon(lambda: client.update_status(EXPIRE, CallContext(timeout=SOON)))
    assert neighbour.connections == 1


@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
def test_a_call_ends_at_its_deadline_when_the_neighbour_does_not_read(
    neighbour: Neighbour,
    client: ReservationClient,
    kept: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kept:
        neighbour.says(204)
        client.update_status(EXPIRE, CALL)
    monkeypatch.setattr(Request, "do_PATCH", silence)
    assert_ends_soon(lambda: client.update_status(HUGE, CallContext(timeout=SOON)))


@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
def test_a_body_larger_than_the_kernels_buffers_is_sent_in_full(
    neighbour: Neighbour, client: ReservationClient, kept: bool
) -> None:
    neighbour.says(204)
    if kept:
        client.update_status(EXPIRE, CALL)
    client.update_status(HUGE, CALL)
    assert json.loads(neighbour.requests[-1].body)["error_code"] == HUGE.error_code


def test_a_deadline_that_was_reached_does_not_shorten_the_next_call(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.answer = silence
    assert_ends_soon(lambda: client.update_status(EXPIRE, CallContext(timeout=SOON)))
    slow = threading.Event()

    def late(request: Request) -> None:
        slow.wait(2 * SOON)
        request.reply(204)

    neighbour.answer = late
    assert client.update_status(EXPIRE, CALL) == DONE


# Names.


@pytest.fixture
def name_server_is_stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: answered.wait(GENEROUS) and [])
    yield
    answered.set()


@pytest.mark.usefixtures("name_server_is_stuck")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_looking_up_the_name_is_part_of_the_deadline(scheme: str) -> None:
    client = ReservationClient(f"{scheme}://reservation-api:8010", connections=1)
    caught = raises(TRANSIENT, lambda: client.get("rsv_1", CallContext(timeout=SOON)))
    assert "no answer from DNS for reservation-api" in str(caught)


def test_a_system_without_a_thread_for_the_look_up_is_no_bug_of_the_handler(
    neighbour: Neighbour, client: ReservationClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))
    assert neighbour.connections == 0


def test_an_address_of_a_family_that_the_kernel_lacks_gives_way_to_the_next_one(
    neighbour: Neighbour, client: ReservationClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As IPv6 where it is switched off; no system has a family 250.
    lacking = (250, socket.SOCK_STREAM, 6, "", ("::1", neighbour.server_port, 0, 0))
    there = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", neighbour.server_port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [lacking, there])
    neighbour.says(204)
    assert client.update_status(EXPIRE, CALL) == DONE


def test_an_address_that_does_not_answer_leaves_time_for_the_next_one(
    neighbour: Neighbour, client: ReservationClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place(port: int) -> tuple[Any, ...]:
        return (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))

    with full_backlog() as dead:
        addresses = [place(dead), place(neighbour.server_port)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: addresses)
        neighbour.says(204)
        assert client.update_status(EXPIRE, CallContext(timeout=4.0)) == DONE


@pytest.mark.parametrize("answer", [silence, drip_a_header, drip_a_body])
def test_over_tls_too_a_call_ends_at_its_deadline(
    tls_neighbour: Neighbour, tls_client: ReservationClient, answer: Answer
) -> None:
    tls_neighbour.answer = answer
    assert_ends_soon(lambda: tls_client.update_status(EXPIRE, CallContext(timeout=SOON)))
    assert len(tls_neighbour.requests) == 1


def test_a_tls_handshake_that_never_ends_is_down_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base = f"https://127.0.0.1:{silent.getsockname()[1]}"
        client = ReservationClient(base, connections=1)
        assert_ends_soon(lambda: client.update_status(EXPIRE, CallContext(timeout=SOON)))


@pytest.mark.parametrize(
    "ask",
    [
        lambda client, call: client.update_status(EXPIRE, call),
        lambda client, call: client.get("rsv_1", call),
    ],
    ids=["PATCH", "GET"],
)
def test_a_call_that_may_not_start_any_more_is_not_sent(
    neighbour: Neighbour, client: ReservationClient, ask: Callable[..., object]
) -> None:
    def over() -> float:
        raise LeaseLost("over")

    with pytest.raises(LeaseLost):
        ask(client, CallContext(10.0, left=over))
    assert neighbour.requests == []
