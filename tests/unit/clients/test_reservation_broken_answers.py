"""Answers that break off, are too large or are no HTTP: always a TransientError."""

import json
import threading

import pytest

from reservation_worker.clients.http_answer import MAX_BODY
from reservation_worker.clients.ports import CallContext, StatusAnswer
from reservation_worker.clients.reservation import ReservationClient
from reservation_worker.errors import TransientError
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
    # With an empty body it would mean "done".
    "half of the headers": cut_off_after(b"HTTP/1.1 200 OK\r\nServer: nginx\r\n"),
    # Without the check of its length it would be an empty body, which would mean "done".
    "no body": cut_off_after(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n"),
    "half a chunk": cut_off_after(CHUNKED + b"14\r\n{}"),
    "no last chunk": cut_off_after(CHUNKED + b"2\r\n{}\r\n"),
    "a chunk of negative size": cut_off_after(CHUNKED + b"-5\r\n{}\r\n0\r\n\r\n"),
    "no HTTP": cut_off_after(b"220 smtp.example.com ESMTP\r\n"),
    "a header without end": cut_off_after(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
    "headers without end": cut_off_after(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 20_000 + b"\r\n"),
    "another protocol from here on": cut_off_after(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n{}"
    ),
    "two lengths": cut_off_after(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} "
    ),
    "a length and chunks": cut_off_after(
        CHUNKED[:-2] + b"Content-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n"
    ),
    "an interim answer with a body": cut_off_after(
        b"HTTP/1.1 104 Odd\r\nContent-Length: 2\r\n\r\n{}"
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    ),
    "another version": cut_off_after(b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
    "a folded header": cut_off_after(
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\n{}"
    ),
    "an unknown coding": cut_off_after(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\n"),
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


FLOODS = {
    "chunks": (CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n"),
    "small chunks": (CHUNKED, b"1\r\nx\r\n" * 10_000),
    "trailers": (CHUNKED + b"0\r\n", b"Trailer: x\r\n" * 5_000),
    "until the end": (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
    "a header": (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),
    "interim answers": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
}


@pytest.mark.parametrize(
    ("sent", "again", "said"),
    [
        *((*flood, "an answer larger than") for flood in FLOODS.values()),
        (CHUNKED + b"-1\r\n", b"x" * 65536, "Invalid character in chunk size"),
    ],
    ids=[*FLOODS, "a chunk of size -1"],
)
def test_an_endless_answer_is_not_read_on(
    neighbour: Neighbour, client: ReservationClient, sent: bytes, again: bytes, said: str
) -> None:
    hung_up = threading.Event()

    def flood(request: Request) -> None:
        try:
            request.wfile.write(sent)
            while True:
                request.wfile.write(again)
        except OSError:
            hung_up.set()

    neighbour.answer = flood
    # Small chunks are slow to read on a busy machine.
    caught = raises(TRANSIENT, lambda: client.get("rsv_1", CallContext(timeout=60)))
    assert said in str(caught)
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


OK = b"HTTP/1.1 200 OK\r\n"
BODY = b'{"status":"EXPIRED"}'
LENGTH = b"Content-Length: 20\r\n"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (OK + LENGTH + b"\r\n" + BODY, True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n14\r\n" + BODY + b"\r\n0\r\n\r\n", True),
        (OK + LENGTH + b"Connection: close\r\n\r\n" + BODY, False),
        (b"HTTP/1.0 200 OK\r\n" + LENGTH + b"\r\n" + BODY, False),
        (OK + LENGTH + b"\r\n" + BODY + b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", False),
        (OK + LENGTH + b"\r\n" + BODY + OK + LENGTH + b"\r\n" + b'{"status":"UNKNOWN"}', False),
        (OK + LENGTH + b"\r\n" + BODY + b"garbage", False),
    ],
    ids=["length", "chunks", "close", "1.0", "a second answer", "a second good one", "garbage"],
)
def test_one_answer_is_read_and_its_connection_is_kept_if_nothing_follows_it(
    neighbour: Neighbour, client: ReservationClient, sent: bytes, kept: bool
) -> None:
    neighbour.answer = lambda request: request.wfile.write(sent) and None
    assert client.update_status(EXPIRE, CALL) == DONE
    assert client.update_status(EXPIRE, CALL) == DONE
    assert neighbour.connections == (1 if kept else 2)


def test_an_answer_without_content_has_no_body_even_if_it_names_a_length(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    sent = b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n"
    neighbour.answer = lambda request: request.wfile.write(sent) and None
    assert client.update_status(EXPIRE, CALL) == DONE


def test_a_body_without_a_length_ends_with_its_connection(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.answer = cut_off_after(OK + b"\r\n" + BODY)
    assert client.update_status(EXPIRE, CALL) == DONE


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n\r\n"
        b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nRetry-After: 9\r\n\r\n",
    ],
    ids=["interim answer", "trailer"],
)
def test_only_the_final_answers_head_names_a_pause(
    neighbour: Neighbour, client: ReservationClient, sent: bytes
) -> None:
    neighbour.answer = lambda request: request.wfile.write(sent) and None
    caught = raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))
    assert isinstance(caught, TransientError)
    assert caught.retry_after == 0
