"""The client's connections to reservation-api: kept, replaced, probed, and over TLS."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from reservation_worker.clients.ports import CallContext, StatusAnswer
from reservation_worker.clients.reservation import ReservationClient
from tests.fake_queue import eventually
from tests.unit.clients.broken import (
    HALF_AN_ANSWER,
    HUGE,
    SOON,
    assert_ends_soon,
    hang_up,
    reset,
    silence,
)
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
)
from tests.unit.clients.networks import Proxy


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


@pytest.mark.parametrize("answer", HALF_AN_ANSWER.values(), ids=HALF_AN_ANSWER)
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


def test_after_a_probe_calls_use_its_connection_and_calls_in_flight_keep_theirs(
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
        neighbour.says(204)
        client.probe(10)
        assert client.update_status(EXPIRE, CALL) == DONE
        go_on.set()
        assert in_flight.result() == DONE
    assert client.update_status(EXPIRE, CALL) == DONE
    assert neighbour.connections == 2


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
