"""Connections to reservation-api that go wrong: always a TransientError, always in time."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reservation_worker.clients.http import MAX_BODY
from reservation_worker.clients.ports import CallContext, StatusAnswer, StatusChange
from reservation_worker.clients.reservation import ReservationClient
from tests.unit.clients.http_neighbour import (
    CALL,
    CONFIRM,
    DONE,
    EXPIRE,
    HTML,
    TRANSIENT,
    Answer,
    Neighbour,
    Request,
    error,
    raises,
    self_signed,
)

SOON = 0.3
"""A short deadline, in seconds, of a call that is bound to reach it."""
HUGE = StatusChange("rsv_1", "CANCELLED", error_code="x" * 16_000_000)
"""Larger than the kernel's buffers on both sides of a connection."""
GENEROUS = 10.0
"""How late such a call may end on a slow machine; what it guards against is never."""


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


def test_one_connection_serves_call_after_call(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    for status, body in ((204, b""), (200, {}), (200, {"status": "EXPIRED"}), (409, b"")):
        neighbour.says(status, body)
        client.update_status(EXPIRE, CALL)
    neighbour.says(200, {"status": "EXPIRED"})
    client.get("rsv_1", CALL)
    neighbour.says(503, HTML)
    raises(TRANSIENT, lambda: client.get("rsv_1", CALL))
    neighbour.answer = lambda request: in_chunks(request, b'{"status":', b' "EXPIRED"}')
    assert client.update_status(EXPIRE, CALL) == DONE
    neighbour.says(204)
    client.update_status(EXPIRE, CALL)
    assert len(neighbour.requests) == 8
    assert neighbour.connections == 1


def in_chunks(request: Request, *chunks: bytes) -> None:
    request.send_response(200)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    for chunk in (*chunks, b""):
        request.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")


def test_a_kept_connection_that_the_server_closed_meanwhile_is_replaced(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    closed = threading.Event()

    def last(request: Request) -> None:
        request.reply(204)  # says nothing of closing, and closes
        request.connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    neighbour.answer = last
    client.update_status(EXPIRE, CALL)
    assert closed.wait(10)
    neighbour.says(204)
    assert client.update_status(EXPIRE, CALL) == DONE
    assert neighbour.connections == 2


# Connections that go wrong: always TransientError, always in time.


def test_a_refused_connection_is_down(closed_port: int) -> None:
    client = ReservationClient(f"http://127.0.0.1:{closed_port}", connections=1)
    raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))
    raises(TRANSIENT, lambda: client.get("rsv_1", CALL))


def test_a_name_that_does_not_resolve_is_down() -> None:
    client = ReservationClient("http://nowhere.invalid:8010", connections=1)
    raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))


def reset(request: Request) -> None:
    linger_no_time = struct.pack("ii", 1, 0)
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_no_time)
    hang_up(request)


def hang_up(request: Request) -> None:
    request.close_connection = True
    request.rfile.close()
    request.connection.close()


def half_a_status_line(request: Request) -> None:
    request.wfile.write(b"HTTP/1.1 200")
    hang_up(request)


def half_a_head(request: Request) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    hang_up(request)


def half_of_the_headers(request: Request) -> None:
    # http.client takes this for an answer with an empty body: done.
    request.wfile.write(b"HTTP/1.1 200 OK\r\nServer: nginx\r\n")
    hang_up(request)


def half_a_body(request: Request) -> None:
    request.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"status":')
    hang_up(request)


def no_body(request: Request) -> None:
    # Without the check of its length it would be an empty body: done.
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
    hang_up(request)


def half_a_chunk(request: Request) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{}")
    hang_up(request)


def no_last_chunk(request: Request) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
    hang_up(request)


def no_http(request: Request) -> None:
    request.wfile.write(b"220 smtp.example.com ESMTP\r\n")
    hang_up(request)


def a_header_without_end(request: Request) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n")
    hang_up(request)


def headers_without_end(request: Request) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 1000 + b"\r\n")
    hang_up(request)


@pytest.mark.parametrize(
    "answer",
    [
        reset,
        hang_up,
        half_a_status_line,
        half_a_head,
        half_of_the_headers,
        half_a_body,
        no_body,
        half_a_chunk,
        no_last_chunk,
        no_http,
        a_header_without_end,
        headers_without_end,
    ],
)
@pytest.mark.parametrize("method", ["PATCH", "GET"])
def test_an_answer_that_breaks_off_is_down(
    neighbour: Neighbour, client: ReservationClient, answer: Answer, method: str
) -> None:
    neighbour.answer = answer
    if method == "PATCH":
        raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))
    else:
        raises(TRANSIENT, lambda: client.get("rsv_1", CALL))


def test_an_answer_as_large_as_allowed_is_read(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(200, b'{"note": "' + b"x" * (MAX_BODY - 12) + b'"}')
    assert client.update_status(EXPIRE, CALL) == DONE
    client.update_status(EXPIRE, CALL)
    assert neighbour.connections == 1


def test_an_answer_one_byte_larger_is_down(neighbour: Neighbour, client: ReservationClient) -> None:
    neighbour.says(200, b'{"note": "' + b"x" * (MAX_BODY - 11) + b'"}')
    assert "over" in str(raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL)))


def test_the_rest_of_an_answer_too_large_is_not_taken_for_the_next_one(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(200, b"x" * (2 * MAX_BODY))
    raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))
    neighbour.says(204)
    assert client.update_status(EXPIRE, CALL) == DONE
    assert neighbour.connections == 2


def test_an_answer_without_end_is_not_read_to_it(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    hung_up = threading.Event()

    def flood(request: Request) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                request.wfile.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        except OSError:
            hung_up.set()

    neighbour.answer = flood
    raises(TRANSIENT, lambda: client.get("rsv_1", CALL))
    assert hung_up.wait(10)


def silence(request: Request) -> None:
    request.server.closing.wait(GENEROUS)


def drip(request: Request, before: bytes) -> None:
    """One byte now and then, each well within any timeout of a single read."""
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


def assert_ends_soon(call: Callable[[], Any]) -> None:
    started = time.monotonic()
    raises(TRANSIENT, call)
    assert time.monotonic() - started < GENEROUS


@pytest.mark.parametrize(
    "answer",
    [silence, drip_a_status_line, drip_a_header, drip_a_body, drip_chunks, drip_continues],
)
@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
def test_a_call_ends_at_its_deadline_however_the_neighbour_dawdles(
    neighbour: Neighbour, client: ReservationClient, answer: Answer, kept: bool
) -> None:
    if kept:
        neighbour.says(204)
        client.update_status(EXPIRE, CALL)
    neighbour.answer = answer
    assert_ends_soon(lambda: client.update_status(EXPIRE, CallContext(timeout=SOON)))
    assert neighbour.connections == 1


@pytest.mark.parametrize("kept", [False, True], ids=["new connection", "kept connection"])
def test_a_call_ends_at_its_deadline_when_nobody_reads_what_it_sends(
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


# The probe of a breaker that is open.


def test_the_probe_only_opens_a_connection(neighbour: Neighbour, client: ReservationClient) -> None:
    client.probe(timeout=10.0)
    assert neighbour.requests == []


def test_the_probe_says_when_nobody_is_there(closed_port: int) -> None:
    client = ReservationClient(f"http://127.0.0.1:{closed_port}", connections=1)
    raises(TRANSIENT, lambda: client.probe(timeout=10.0))


# https.


def test_a_certificate_that_nobody_vouches_for_is_down_and_sees_no_request(
    tls_neighbour: Neighbour,
) -> None:
    tls_neighbour.says(204)
    client = ReservationClient(tls_neighbour.base, connections=1)
    raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))
    assert tls_neighbour.connections == 1
    assert tls_neighbour.requests == []


def test_over_tls_calls_work_and_keep_their_connection(
    tls_neighbour: Neighbour, tls_client: ReservationClient
) -> None:
    tls_neighbour.says(409, error("RESERVATION_EXPIRED"))
    for change in (CONFIRM, HUGE, CONFIRM):
        assert tls_client.update_status(change, CALL) == StatusAnswer(False, "EXPIRED")
    assert tls_neighbour.connections == 1


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


def test_an_ipv6_base_is_called_and_probed() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with listener:
        client = ReservationClient(f"http://[::1]:{listener.getsockname()[1]}", connections=1)
        client.probe(10)
        client.close()
