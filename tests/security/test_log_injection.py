"""Text of events and neighbours stays inside one log line and forges nothing in it."""

import io
import json
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from loguru import logger

from reservation_worker.clients.ports import CallContext, StatusChange
from reservation_worker.clients.reservation import ReservationClient
from reservation_worker.errors import TransientError
from reservation_worker.observability.logger import configure
from reservation_worker.simulator.neighbours.reservations import Record
from tests.security.lines import read_line, read_log
from tests.unit.clients.http_neighbour import Neighbour, Request
from tests.world import World, until

FORGED = '{"ts": "2026-01-01T00:00:00+00:00", "level": "error", "msg": "FORGED"}'
TEXTS = {
    "a line": f"x\n{FORGED}\n",
    "a line, CRLF": f"x\r\n{FORGED}\r\n",
    "a line over another": f"\r{FORGED}",
    "end of the string": '", "msg": "FORGED", "level": "error", "x": "',
    "end of the object": f'"}}\n{FORGED}\n{{"x": "',
    "escaped quotes": '\\", \\"msg\\": \\"FORGED',
    "an escape of JSON": "\\u000a\\n\\u0022",
    "terminal colours": "\x1b[31mFORGED\x1b[0m\x1b]0;title\x07\x1b[2J",
    "eight-bit escapes": "\x9b31mFORGED",
    "backspaces": "settled\b\b\b\b\b\b\bFORGED",
    "NUL": "x\x00FORGED",
    "line separators": f"x\u2028{FORGED}\u2029{FORGED}\x85{FORGED}\x0b\x0c\x1c\x1d\x1e",
    "right to left": "\u202eDEGROF\u202c",
    "a format": "{} {0} {msg} {0.__class__.__mro__} {record[extra]} %s %(msg)s %d",
    "markup of loguru": "<red>FORGED</red> </> <level>x</level> \\<",
    "a dollar": "${jndi:ldap://127.0.0.1/FORGED} $(FORGED) `FORGED`",
    "markup of HTML": "<script>FORGED</script>",
    "a surrogate": "x\ud800FORGED",
    "not ASCII": "자리 🌮",
    "endless": "FORGED " * 20_000,
}
MESSAGES = {"settled", "replayed", "superseded", "dead-lettered", "given back for another try"}


# A neighbour's answer with the text in it, and the calls that it answers.
Answers = tuple[tuple[str, dict[str, Any]], ...]


@dataclass
class Sent:
    """A message with a hostile text in `place`; `shown` is the log's field that holds it."""

    place: str
    text: str
    body: str
    answers: Answers = ()
    shown: str = ""


def event(rid: str, kind: str = "payment.failed", **detail: Any) -> dict[str, Any]:
    facts = {"reservation_id": rid, "event_id": "show", "seat_ids": [f"S-{rid}"]}
    return {"id": "m", "type": kind, "detail": facts | detail}


def events(text: str) -> Iterator[Callable[[str], Sent]]:
    """Fields that the log shows, and invalid fields that it quotes."""

    def sent(place: str, shown: str, make: Callable[[str], Any]) -> Callable[[str], Sent]:
        return lambda rid: Sent(place, text, json.dumps(make(rid)), (), shown)

    for name in ("event_id", "trace_id"):
        yield sent(name, name, lambda rid, name=name: event(rid, **{name: text}))
    for name in ("error_code", "user_id", "amount", "error_message", text):
        yield sent(name, "", lambda rid, name=name: event(rid, **{name: text}))
    for name in ("reservation_id", "qty", "seat_ids", "type"):
        yield sent(name, "", lambda rid, name=name: {"type": "payment.failed", name: text})
    yield sent("id", "id", lambda rid: event(rid) | {"id": text})
    yield lambda rid: Sent("not JSON", text, json.dumps(text)[1:])


def answers(text: str) -> Iterator[Callable[[str], Sent]]:
    """Neighbours that put the text into every place of an answer."""
    # gRPC carries no surrogates and limits the size; an HTTP body holds anything.
    wire = text[:2000].replace("\ud800", "")
    said: dict[str, Answers] = {
        "HTML": (("reservation", {"status": 422, "body": wire}),),
        "an outage's HTML": (("reservation", {"status": 503, "body": wire}),),
        "an error code": (("reservation", {"status": 400, "body": {"error": {"code": text}}}),),
        "a state": (
            ("reservation", {"method": "PATCH", "status": 409, "body": {}}),
            ("reservation", {"method": "GET", "status": 200, "body": {"status": text}}),
        ),
        "in band": (("inventory", {"status": 0, "error_code": 4, "message": wire}),),
        "details": (("inventory", {"code": "INVALID_ARGUMENT", "message": wire}),),
        "passing details": (("inventory", {"code": "ABORTED", "message": wire}),),
    }
    for place, given in said.items():
        yield lambda rid, place=place, given=given: Sent(place, text, json.dumps(event(rid)), given)


@dataclass
class Run:
    """The cases by message id, and the log after all were settled."""

    sent: dict[str, Sent]
    log: list[dict[str, Any]]
    stderr: bytes

    def settled(self) -> Iterator[tuple[Sent, dict[str, Any]]]:
        """A transient failure is given back until there is evidence against the message."""
        final = (x for x in self.log if x.get("outcome", "retried") != "retried")
        return ((self.sent[x["message_id"]], x) for x in final)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as made:
        yield made


@pytest.fixture(scope="module")
def run(world: World) -> Run:
    makers = [make for text in TEXTS.values() for make in (*events(text), *answers(text))]
    sent = {}
    for number, make in enumerate(makers):
        rid = f"rsv_{number}"
        one = make(rid)
        world.neighbours.seed([Record(rid, "show", (f"S-{rid}",))])
        for neighbour, answer in one.answers:
            # Also on a later try, because without evidence the worker retries transient
            # answers.
            world.neighbours.answer(neighbour, answer, count=1000, ids=[rid])
        queued = world.client.send_message(QueueUrl=world.queue_url, MessageBody=one.body)
        sent[queued["MessageId"]] = one
    worker = world.run_worker(LOG_LEVEL="debug", MAX_RETRIES="0")
    until(world.empty, 60, "every message is settled")
    worker.signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    return Run(sent, read_log(worker.stdout), worker.stderr.read_bytes())


def test_every_message_has_its_one_line_and_nothing_else_is_in_the_log(run: Run) -> None:
    assert sorted(line["message_id"] for _, line in run.settled()) == sorted(run.sent)
    others = [line["msg"] for line in run.log if "outcome" not in line]
    assert [text.split()[0] for text in others] == ["reservation-worker", "stopped"]
    assert run.stderr == b""


def test_no_text_forges_a_message_a_level_or_an_outcome(run: Run) -> None:
    for one, line in run.settled():
        assert line["msg"] in MESSAGES, one
        expected = {"dead-lettered": "error", "superseded": "warn"}.get(line["msg"], "info")
        assert line["level"] == expected, one
        assert line["outcome"] in ("success", "failed", "invalid_payload")
        assert line["pod_name"] == "worker"


def test_a_field_is_logged_as_it_came_unless_it_is_too_long(run: Run) -> None:
    compared = 0
    for one, line in run.settled():
        if one.shown and line["outcome"] == "success" and "\ud800" not in one.text:
            shown = line[one.shown]
            longest = 128 if one.shown == "trace_id" else 1000
            assert shown == one.text if len(one.text) <= longest else len(shown) < 1100
            compared += 1
    assert compared >= 3 * (len(TEXTS) - 1)


def test_a_neighbours_text_is_logged_but_cut(run: Run) -> None:
    quoted = [
        (one, line)
        for one, line in run.settled()
        if one.answers and one.place != "a state" and line["outcome"] == "failed"
    ]
    assert len(quoted) == 6 * len(TEXTS)
    for one, line in quoted:
        assert len(line["error"]) < 400, one.place
        assert line["error"].startswith(("reservation-api PATCH: HTTP", "inventory-svc Release"))


# Malformed HTTP answers, with the real client and the real logger.

RAW = [
    f"HTTP/1.1 503 \x1b[31m{FORGED}\r\n\r\n",
    f"HTTP/1.1 {FORGED}\r\n\r\n",
    f"\n{FORGED}\n",
    f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{FORGED}\r\n\r\n",
    f"HTTP/1.1 503 No\r\nRetry-After: {FORGED}\r\nContent-Length: 0\r\n\r\n",
    f"HTTP/1.1 302 No\r\nLocation: {FORGED}\r\nContent-Length: 0\r\n\r\n",
    f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{FORGED}\r\n",
    f"HTTP/1.1 503 OK\r\nContent-Length: {FORGED}\r\n\r\n{{}}",
    "HTTP/1.1 " + "x" * 60_000 + "\r\n\r\n",
    "HTTP/1.1 200 OK\r\n" + "".join(f"X-{n}: \x1b[2J\r\n" for n in range(200)) + "\r\n",
]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure("debug", "pod-1", stream.write)
    yield stream
    logger.remove()


@pytest.mark.parametrize("raw", RAW, ids=range(len(RAW)))
def test_a_malformed_http_answer_stays_inside_its_line(log: io.StringIO, raw: str) -> None:
    def answer(request: Request) -> None:
        request.wfile.write(raw.encode("latin-1"))
        request.close_connection = True

    with Neighbour() as neighbour:
        neighbour.answer = answer
        client = ReservationClient(neighbour.base, connections=1)
        change = StatusChange("rsv_1", "EXPIRED")
        with pytest.raises(TransientError) as caught:
            client.update_status(change, CallContext(timeout=10.0))
        logger.bind(error=str(caught.value)).opt(exception=caught.value).warning("given back")
        client.close()
    *lines, end = log.getvalue().encode().split(b"\n")
    assert end == b""
    [line] = [line for line in map(read_line, lines) if line["msg"] == "given back"]
    assert len(line["error"]) < 400


# gRPC's core writes its own log to stderr.


def frame(kind: int, flags: int, payload: bytes) -> bytes:
    """One HTTP/2 frame of stream 0."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, 0) + payload


def say_goodbye(listener: socket.socket) -> None:
    """Sends each client SETTINGS, then a GOAWAY whose reason forges a line."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client, suppress(OSError):
            client.sendall(frame(4, 0, b""))
            client.recv(4000)
            client.sendall(frame(4, 1, b""))
            reason = f"x\n{FORGED}\n\x1b[31m".encode()
            client.sendall(frame(7, 0, struct.pack(">II", 0, 2) + reason))
            client.recv(4000)


def test_a_goaway_of_inventory_forges_no_line_on_stderr_either(world: World) -> None:
    world.renew()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=say_goodbye, args=(listener,), daemon=True).start()
        world.expire(world.seed(1))
        worker = world.run_worker(
            INVENTORY_GRPC_ADDR=f"127.0.0.1:{listener.getsockname()[1]}", MAX_RETRIES="0"
        )

        def outcomes() -> list[dict[str, Any]]:
            return [line for line in read_log(worker.stdout) if "outcome" in line]

        until(outcomes, 60, "the message was tried")
        worker.signal(signal.SIGTERM)
        assert worker.wait(60) == 0
        listener.shutdown(socket.SHUT_RDWR)
        line = outcomes()[0]
        assert "FORGED" in line["error"]
        assert worker.stderr.read_bytes() == b""
