"""Broken connections to reservation-api: always a TransientError, always in time."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from reservation_worker.clients.http import MAX_BODY
from reservation_worker.clients.ports import CallContext, StatusAnswer, StatusChange
from reservation_worker.clients.reservation import ReservationClient
from reservation_worker.errors import LeaseLost
from tests.fake_queue import eventually
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
from tests.unit.clients.networks import Proxy, full_backlog

SOON = 0.3
"""A short deadline, in seconds, of a call that is bound to reach it."""
HUGE = StatusChange("rsv_1", "CANCELLED", error_code="x" * 16_000_000)
"""Larger than the kernel's buffers on both sides of a connection."""
GENEROUS = 10.0
"""How late such a call may end on a slow machine; the alternative is never."""


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
        request.reply(204)  # closes without announcing it
        request.connection.shutdown(socket.SHUT_RDWR)
        closed.set()

    neighbour.answer = last
    client.update_status(EXPIRE, CALL)
    assert closed.wait(10)
    neighbour.says(204)
    assert client.update_status(EXPIRE, CALL) == DONE
    assert neighbour.connections == 2


# Broken connections.


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
    # http.client takes this for an answer with an empty body, which would mean "done".
    request.wfile.write(b"HTTP/1.1 200 OK\r\nServer: nginx\r\n")
    hang_up(request)


def half_a_body(request: Request) -> None:
    request.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"status":')
    hang_up(request)


def no_body(request: Request) -> None:
    # Without the check of its length it would be an empty body, which would mean "done".
    request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
    hang_up(request)


def half_a_chunk(request: Request) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{}")
    hang_up(request)


def no_last_chunk(request: Request) -> None:
    request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
    hang_up(request)


def a_chunk_of_negative_size(request: Request) -> None:
    request.wfile.write(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n"
    )
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
        a_chunk_of_negative_size,
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
    assert "larger than" in str(raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL)))


def test_the_rest_of_a_too_large_answer_is_not_taken_for_the_next_one(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(200, b"x" * (2 * MAX_BODY))
    raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))
    neighbour.says(204)
    assert client.update_status(EXPIRE, CALL) == DONE
    assert neighbour.connections == 2


@pytest.mark.parametrize(
    ("head", "again"),
    [
        (b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 10_000),
        # To http.client: all until the connection ends.
        (b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", b"x" * 65536),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"Trailer: x\r\n" * 5_000),
        (b"\r\n", b"x" * 65536),
    ],
    ids=["chunks", "small chunks", "a chunk of size -1", "trailers", "until the end"],
)
def test_an_endless_answer_is_not_read_on(
    neighbour: Neighbour, client: ReservationClient, head: bytes, again: bytes
) -> None:
    hung_up = threading.Event()

    def flood(request: Request) -> None:
        try:
            request.wfile.write(b"HTTP/1.1 200 OK\r\n" + head)
            while True:
                request.wfile.write(again)
        except OSError:
            hung_up.set()

    neighbour.answer = flood
    caught = raises(TRANSIENT, lambda: client.get("rsv_1", CALL))
    assert "an answer of over" in str(caught)
    # Although the error, whose traceback holds the call's frames, still lives.
    assert hung_up.wait(10)


@pytest.mark.parametrize("interim", [1, 3])
def test_an_interim_answer_is_not_taken_for_the_final_one_nor_that_for_the_next_calls(
    neighbour: Neighbour, client: ReservationClient, interim: int
) -> None:
    def after_hints(request: Request) -> None:
        request.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * interim)
        body = json.loads(request.body or b"{}")
        request.reply(200, json.dumps({"status": body.get("status", "HOLD")}).encode())

    neighbour.answer = after_hints
    assert client.update_status(EXPIRE, CALL) == DONE
    assert client.update_status(CONFIRM, CALL) == StatusAnswer(True, "CONFIRMED")
    reservation = client.get("rsv_1", CALL)
    assert reservation is not None
    assert reservation.status == "HOLD"
    assert neighbour.connections == 1


def silence(request: Request) -> None:
    request.server.closing.wait(GENEROUS)


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


def assert_ends_soon(call: Callable[[], Any]) -> None:
    started = time.monotonic()
    raises(TRANSIENT, call)
    assert time.monotonic() - started < GENEROUS


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


# A kept connection that is broken.


def breaks_on_a_kept_connection(answer: Answer) -> Answer:
    """204 to the first request of each connection, `answer` to the others."""
    begun: set[int] = set()

    def behave(request: Request) -> None:
        if id(request) in begun:  # a handler serves one connection
            answer(request)
        else:
            begun.add(id(request))
            request.reply(204)

    return behave


@pytest.mark.parametrize("method", ["PATCH", "GET"])
def test_a_kept_connection_that_breaks_before_an_answer_is_replaced_by_a_new_one(
    neighbour: Neighbour, client: ReservationClient, method: str
) -> None:
    neighbour.answer = breaks_on_a_kept_connection(reset)
    client.update_status(EXPIRE, CALL)
    neighbour.requests.clear()
    if method == "PATCH":
        assert client.update_status(EXPIRE, CALL) == DONE
        first, second = neighbour.requests
        assert first.body == second.body
    else:
        raises(TRANSIENT, lambda: client.get("rsv_1", CALL))  # the 204 is no reservation
        assert len(neighbour.requests) == 2
    assert neighbour.connections == 2


def test_twenty_kept_connections_that_break_at_once_fail_no_call() -> None:
    together = threading.Barrier(20)

    def settle(_: int) -> StatusAnswer:
        together.wait(10)
        return client.update_status(EXPIRE, CALL)

    def first(request: Request) -> None:
        together.wait(10)  # so that each call has a connection of its own
        request.reply(204)

    with Neighbour() as neighbour, ThreadPoolExecutor(20) as pool:
        client = ReservationClient(neighbour.base, connections=20)
        neighbour.answer = first
        list(pool.map(settle, range(20)))
        assert neighbour.connections == 20
        kept = set(map(id, neighbour.requests))
        neighbour.answer = lambda request: (
            reset(request) if id(request) in kept else request.reply(204)
        )
        assert list(pool.map(settle, range(20))) == [DONE] * 20
        client.close()


@pytest.mark.parametrize("answer", [reset, hang_up])
def test_a_new_connection_that_breaks_is_not_tried_again(
    neighbour: Neighbour, client: ReservationClient, answer: Answer
) -> None:
    neighbour.answer = answer
    raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))
    assert (len(neighbour.requests), neighbour.connections) == (1, 1)


def test_no_second_new_connection_is_tried(neighbour: Neighbour, client: ReservationClient) -> None:
    neighbour.says(204)
    client.update_status(EXPIRE, CALL)
    neighbour.answer = reset
    raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))
    assert (len(neighbour.requests), neighbour.connections) == (3, 2)


@pytest.mark.parametrize("answer", [half_a_status_line, half_a_head, half_a_body])
def test_a_kept_connection_that_breaks_in_its_answer_is_not_tried_again(
    neighbour: Neighbour, client: ReservationClient, answer: Answer
) -> None:
    neighbour.answer = breaks_on_a_kept_connection(answer)
    client.update_status(EXPIRE, CALL)
    raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))
    assert (len(neighbour.requests), neighbour.connections) == (2, 1)


def test_the_second_try_has_the_time_that_the_first_one_left(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(204)
    client.update_status(EXPIRE, CALL)
    kept = neighbour.requests[0]
    neighbour.answer = lambda request: (reset if request is kept else silence)(request)
    assert_ends_soon(lambda: client.update_status(EXPIRE, CallContext(timeout=SOON)))


def test_after_reconnect_calls_use_a_new_connection_and_calls_in_flight_keep_theirs(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def slow(request: Request) -> None:
        arrived.set()
        go_on.wait(10)
        request.reply(204)

    neighbour.answer = slow
    with ThreadPoolExecutor(1) as pool:
        in_flight = pool.submit(client.update_status, EXPIRE, CALL)
        assert arrived.wait(10)
        client.reconnect()
        neighbour.says(204)
        assert client.update_status(EXPIRE, CALL) == DONE
        go_on.set()
        assert in_flight.result() == DONE
    assert client.update_status(EXPIRE, CALL) == DONE
    assert neighbour.connections == 2


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


# The probe of an open breaker.


@pytest.mark.parametrize("status", [200, 400, 401, 404, 405, 429, 500])
def test_the_probe_accepts_any_answer_of_the_api(
    neighbour: Neighbour, client: ReservationClient, status: int
) -> None:
    neighbour.says(status)
    client.probe(timeout=10.0)
    request = neighbour.requests[0]
    assert (request.command, request.path) == ("GET", "/internal/reservations")


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_without_the_api_behind_it_fails_the_probe(
    neighbour: Neighbour, client: ReservationClient, status: int
) -> None:
    neighbour.says(status)
    raises(TRANSIENT, lambda: client.probe(timeout=10.0))


def test_the_probe_fails_where_connections_work_and_answers_do_not_come(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.answer = silence
    assert_ends_soon(lambda: client.probe(timeout=SOON))


def test_after_the_probe_calls_use_its_connection_and_not_the_black_holed_ones(
    neighbour: Neighbour,
) -> None:
    neighbour.says(204)
    with Proxy(neighbour.server_port) as proxy:
        client = ReservationClient(f"http://127.0.0.1:{proxy.port}", connections=2)
        client.update_status(EXPIRE, CALL)
        proxy.black_hole()
        assert_ends_soon(lambda: client.update_status(EXPIRE, CallContext(timeout=SOON)))
        client.update_status(EXPIRE, CALL)
        proxy.black_hole()
        client.probe(timeout=10.0)
        client.update_status(EXPIRE, CALL)
        assert proxy.connections == 3
        eventually(lambda: proxy.hang_ups == 2)
        client.close()


def test_the_probe_fails_where_nobody_listens(closed_port: int) -> None:
    client = ReservationClient(f"http://127.0.0.1:{closed_port}", connections=1)
    raises(TRANSIENT, lambda: client.probe(timeout=10.0))


# https.


def test_a_server_with_an_untrusted_certificate_is_down_and_sees_no_request(
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
        served = Neighbour(host="::1")
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with served as neighbour:
        neighbour.says(204)
        client = ReservationClient(f"http://[::1]:{neighbour.server_port}", connections=1)
        client.probe(10)
        assert client.update_status(EXPIRE, CALL) == DONE
        assert neighbour.requests[0].headers["Host"] == f"[::1]:{neighbour.server_port}"
        client.close()


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
