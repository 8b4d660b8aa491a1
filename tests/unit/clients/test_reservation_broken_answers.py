"""Answers that break off, are too large or are no HTTP: always a TransientError."""

import json
import threading

import pytest

from reservation_worker.clients.http import MAX_BODY
from reservation_worker.clients.ports import CallContext, StatusAnswer
from reservation_worker.clients.reservation import ReservationClient
from tests.unit.clients.broken import HALF_AN_ANSWER, cut_off_after, hang_up, reset
from tests.unit.clients.http_neighbour import (
    CALL,
    CONFIRM,
    DONE,
    EXPIRE,
    TRANSIENT,
    Answer,
    Neighbour,
    Request,
    raises,
)


def test_a_refused_connection_is_down(closed_port: int) -> None:
    client = ReservationClient(f"http://127.0.0.1:{closed_port}", connections=1)
    raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))
    raises(TRANSIENT, lambda: client.get("rsv_1", CALL))


def test_a_name_that_does_not_resolve_is_down() -> None:
    client = ReservationClient("http://nowhere.invalid:8010", connections=1)
    raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BROKEN = {
    "reset": reset,
    "hang-up": hang_up,
    **HALF_AN_ANSWER,
    # http.client takes this for an answer with an empty body, which would mean "done".
    "half of the headers": cut_off_after(b"HTTP/1.1 200 OK\r\nServer: nginx\r\n"),
    # Without the check of its length it would be an empty body, which would mean "done".
    "no body": cut_off_after(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"),
    "half a chunk": cut_off_after(CHUNKED + b"14\r\n{}"),
    "no last chunk": cut_off_after(CHUNKED + b"2\r\n{}\r\n"),
    "a chunk of negative size": cut_off_after(CHUNKED + b"-5\r\n{}\r\n0\r\n\r\n"),
    "no HTTP": cut_off_after(b"220 smtp.example.com ESMTP\r\n"),
    "a header without end": cut_off_after(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
    "headers without end": cut_off_after(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 1000 + b"\r\n"),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
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
    # Small chunks are slow to read on a busy machine.
    caught = raises(TRANSIENT, lambda: client.get("rsv_1", CallContext(timeout=60)))
    assert "an answer larger than" in str(caught)
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
