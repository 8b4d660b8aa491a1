"""Contract, section 2: what each answer of reservation-api means, over real HTTP connections."""

import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from reservation_worker.clients.http import MAX_BODY
from reservation_worker.clients.ports import CallContext, Reservation, StatusAnswer, StatusChange
from reservation_worker.clients.reservation import ReservationClient
from reservation_worker.errors import PermanentError, TransientError

TRANSIENT, PERMANENT = TransientError, PermanentError

CALL = CallContext(timeout=10.0)
CONFIRM = StatusChange("rsv_1", "CONFIRMED", payment_intent_id="pay_1")
EXPIRE = StatusChange("rsv_1", "EXPIRED")
DONE = StatusAnswer(done=True, status="EXPIRED")

SOON = 0.3
"""A short deadline, in seconds, of a call that is bound to reach it."""
HUGE = StatusChange("rsv_1", "CANCELLED", error_code="x" * 16_000_000)
"""Larger than the kernel's buffers on both sides of a connection."""
GENEROUS = 10.0
"""How late such a call may end on a slow machine; what it guards against is never."""

Answer = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request; the test's `answer` is free to do anything to its connection."""

    protocol_version = "HTTP/1.1"
    server: "Neighbour"

    def do_PATCH(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append(self)
        self.server.answer(self)

    do_GET = do_PATCH

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        # None is allowed with a 204.
        lengths = {} if status == 204 else {"Content-Length": str(len(body))}
        for name, value in (lengths | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Not to the test's output."""


class Neighbour(ThreadingHTTPServer):
    """reservation-api with an answer that a test sets; it keeps requests and connections."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.answer: Answer
        self.requests: list[Request] = []
        self.connections = 0
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", 0), Request)

    @property
    def base(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.server_port}"

    def says(self, status: int, body: Any = b"", **headers: str) -> None:
        """Answer everything so from now on; what is not bytes becomes JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answer = lambda request: request.reply(status, raw, **headers)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.tls:
            request = self.tls.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what these tests are about."""

    def __enter__(self) -> "Neighbour":
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


@pytest.fixture(scope="module")
def server() -> Iterator[Neighbour]:
    with Neighbour() as made:
        yield made


@pytest.fixture
def neighbour(server: Neighbour) -> Neighbour:
    server.requests.clear()
    server.connections = 0
    return server


@pytest.fixture
def client(neighbour: Neighbour) -> Iterator[ReservationClient]:
    made = ReservationClient(neighbour.base, connections=2)
    yield made
    made.close()


@pytest.fixture
def closed_port() -> Iterator[int]:
    # Bound, but nobody listens: connections are refused and nobody else can take the port.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def raises(kind: type[Exception], call: Callable[[], Any]) -> Any:
    with pytest.raises(kind) as caught:
        call()
    assert caught.type is kind, f"{caught.value!r}"
    return caught.value


def error(code: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": "because of the test", "traceId": "t"}, **fields}


HTML = b"<html><body>Welcome to nginx!</body></html>"


# The PATCH: done.


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_2xx_with_an_empty_body_is_done(
    neighbour: Neighbour, client: ReservationClient, status: int
) -> None:
    neighbour.says(status)
    assert client.update_status(EXPIRE, CALL) == DONE


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reservation_id": "rsv_1"},
        {"status": "EXPIRED"},
        {"status": None},
        {"status": ""},
        {"error": None},
    ],
    ids=json.dumps,
)
def test_a_2xx_with_an_object_that_names_no_other_status_is_done(
    neighbour: Neighbour, client: ReservationClient, body: dict[str, Any]
) -> None:
    neighbour.says(200, body)
    assert client.update_status(EXPIRE, CALL) == DONE


def test_a_2xx_of_nothing_but_white_space_is_done(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(200, b" \r\n")
    assert client.update_status(EXPIRE, CALL) == DONE


@pytest.mark.parametrize("name", ["payment_intent_id", "paymentIntentId"])
def test_a_2xx_may_name_the_payment_that_confirmed_it(
    neighbour: Neighbour, client: ReservationClient, name: str
) -> None:
    neighbour.says(200, {"status": "CONFIRMED", name: "pay_0"})
    assert client.update_status(CONFIRM, CALL) == StatusAnswer(True, "CONFIRMED", "pay_0")


# The PATCH: not in HOLD any more.


@pytest.mark.parametrize("status", ["CONFIRMED", "CANCELLED", "HOLD", "PENDING"])
def test_a_2xx_that_names_another_status_counts_as_a_409_with_that_status(
    neighbour: Neighbour, client: ReservationClient, status: str
) -> None:
    neighbour.says(200, {"status": status})
    assert client.update_status(EXPIRE, CALL) == StatusAnswer(False, status)


@pytest.mark.parametrize("status", ["SHIPPED", "confirmed", 7, ["EXPIRED"], {"now": "EXPIRED"}])
def test_a_2xx_with_a_status_that_nobody_knows_is_not_done_and_tells_nothing(
    neighbour: Neighbour, client: ReservationClient, status: Any
) -> None:
    neighbour.says(200, {"status": status})
    assert client.update_status(EXPIRE, CALL) == StatusAnswer(False, None)


STATE_OF_CODE = [
    ("RESERVATION_EXPIRED", "EXPIRED"),
    ("RESERVATION_ALREADY_CONFIRMED", "CONFIRMED"),
    ("RESERVATION_ALREADY_CANCELLED", "CANCELLED"),
]


@pytest.mark.parametrize("status", [409, 400])
@pytest.mark.parametrize(("code", "state"), STATE_OF_CODE)
def test_a_409_or_400_with_a_code_tells_the_state_by_it(
    neighbour: Neighbour, client: ReservationClient, status: int, code: str, state: str
) -> None:
    neighbour.says(status, error(code))
    assert client.update_status(CONFIRM, CALL) == StatusAnswer(False, state)


@pytest.mark.parametrize("state", ["CONFIRMED", "CANCELLED", "EXPIRED", "HOLD", "PENDING"])
def test_a_409_tells_the_state_by_the_status_in_its_body(
    neighbour: Neighbour, client: ReservationClient, state: str
) -> None:
    neighbour.says(409, {"status": state})
    assert client.update_status(CONFIRM, CALL) == StatusAnswer(False, state)


def test_a_409s_status_goes_before_its_code(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(409, error("RESERVATION_ALREADY_CONFIRMED", status="CANCELLED"))
    assert client.update_status(EXPIRE, CALL) == StatusAnswer(False, "CANCELLED")


@pytest.mark.parametrize("status", ["SHIPPED", 409, None])
def test_a_409s_code_stands_where_its_status_is_not_a_state(
    neighbour: Neighbour, client: ReservationClient, status: Any
) -> None:
    neighbour.says(409, error("RESERVATION_EXPIRED", status=status))
    assert client.update_status(CONFIRM, CALL) == StatusAnswer(False, "EXPIRED")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        HTML,
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"status": 409, "error": "Conflict", "path": "/"}',
        b'{"error": {"code": "SOMETHING_ELSE"}}',
        b'{"error": {"code": 7}}',
        b'{"error": {}}',
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_409_with_nothing_usable_is_a_409_that_tells_nothing(
    neighbour: Neighbour, client: ReservationClient, body: bytes
) -> None:
    neighbour.says(409, body)
    assert client.update_status(EXPIRE, CALL) == StatusAnswer(False, None)


@pytest.mark.parametrize("name", ["payment_intent_id", "paymentIntentId"])
def test_a_409_may_name_the_payment_that_confirmed_it(
    neighbour: Neighbour, client: ReservationClient, name: str
) -> None:
    neighbour.says(409, error("RESERVATION_ALREADY_CONFIRMED", **{name: "pay_0"}))
    assert client.update_status(CONFIRM, CALL) == StatusAnswer(False, "CONFIRMED", "pay_0")


# The PATCH: failures.


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # 2xx with anything else: not our API
        (200, HTML, TRANSIENT),
        (200, b"[]", TRANSIENT),
        (200, b'"EXPIRED"', TRANSIENT),
        (200, b"null", TRANSIENT),
        (200, b"\xff", TRANSIENT),
        (202, HTML, TRANSIENT),
        # permanent
        (404, error("RESERVATION_NOT_FOUND"), PERMANENT),
        (400, b"", PERMANENT),
        (400, HTML, PERMANENT),
        (400, error("INVALID_REQUEST"), PERMANENT),
        (400, error("RESERVATION_NOT_FOUND"), PERMANENT),
        (422, error("RESERVATION_EXPIRED"), PERMANENT),  # only 400 and 409 may say so
        (402, b"", PERMANENT),
        (406, b"", PERMANENT),
        (410, b"", PERMANENT),
        (411, b"", PERMANENT),
        (412, b"", PERMANENT),
        (413, b"", PERMANENT),
        (415, b"", PERMANENT),
        (418, b"", PERMANENT),
        (422, b"", PERMANENT),
        (423, b"", PERMANENT),
        (451, b"", PERMANENT),
        # transient
        (408, b"", TRANSIENT),
        (425, b"", TRANSIENT),
        (429, b"", TRANSIENT),
        (500, error("RESERVATION_EXPIRED"), TRANSIENT),
        (500, HTML, TRANSIENT),
        (501, b"", TRANSIENT),
        (502, HTML, TRANSIENT),
        (503, b"", TRANSIENT),
        (504, b"", TRANSIENT),
        (599, b"", TRANSIENT),
        # neighbour fault
        (401, b"", TRANSIENT),
        (403, b"", TRANSIENT),
        (405, b"", TRANSIENT),
        (404, b"", TRANSIENT),
        (404, HTML, TRANSIENT),
        (404, error("NOT_FOUND"), TRANSIENT),
        (404, {"status": 404, "error": "Not Found"}, TRANSIENT),
        (300, b"", TRANSIENT),
        (304, b"", TRANSIENT),
        # no HTTP that anybody knows
        (600, b"", TRANSIENT),
        (999, b"", TRANSIENT),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value)[:40],
)
def test_a_refusal_means_what_the_contract_says(
    neighbour: Neighbour,
    client: ReservationClient,
    status: int,
    body: Any,
    kind: type[Exception],
) -> None:
    neighbour.says(status, body)
    caught = raises(kind, lambda: client.update_status(EXPIRE, CALL))
    assert f"PATCH: HTTP {status}" in str(caught)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["PATCH", "GET"])
def test_a_redirect_is_a_neighbour_fault_and_is_not_followed(
    neighbour: Neighbour, client: ReservationClient, status: int, method: str
) -> None:
    with Neighbour() as elsewhere:
        elsewhere.says(200, {})
        neighbour.says(status, Location=f"{elsewhere.base}/internal/reservations/rsv_1")
        if method == "PATCH":
            raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))
        else:
            raises(TRANSIENT, lambda: client.get("rsv_1", CALL))
        assert elsewhere.connections == 0
    assert len(neighbour.requests) == 1


def test_a_failed_call_is_not_repeated_behind_our_back(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(503, Retry_After="0")
    raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))
    assert len(neighbour.requests) == 1


# Retry-After.


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("3600", 3600.0),  # backoff.retry_delay keeps it to 900
        ("-5", 0.0),
        ("soon", 0.0),
        ("1.5", 0.0),
        ("", 0.0),
        ("9" * 5000, 0.0),  # more digits than Python reads
        ("Mon, 01 Jan 1990 00:00:00 GMT", 0.0),  # long over
        ("Mon, 01 Foo 2990 00:00:00 GMT", 0.0),  # there is no such month
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_seconds_is_handed_on(
    neighbour: Neighbour, client: ReservationClient, status: int, value: str, seconds: float
) -> None:
    neighbour.says(status, Retry_After=value)
    with pytest.raises(TransientError) as caught:
        client.update_status(EXPIRE, CALL)
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_as_a_date_is_handed_on_as_the_seconds_until_then(
    neighbour: Neighbour, client: ReservationClient, status: int
) -> None:
    then = datetime.now(UTC) + timedelta(seconds=300)
    neighbour.says(status, Retry_After=format_datetime(then, usegmt=True))
    with pytest.raises(TransientError) as caught:
        client.update_status(EXPIRE, CALL)
    assert 250 < caught.value.retry_after <= 300


def test_without_retry_after_nothing_is_asked_for(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(503)
    assert raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL)).retry_after == 0.0


# What reservation-api receives.


@pytest.mark.parametrize(
    ("change", "body"),
    [
        (
            StatusChange("rsv_1", "CONFIRMED", payment_intent_id="pay_1"),
            {"status": "CONFIRMED", "payment_intent_id": "pay_1"},
        ),
        (
            StatusChange("rsv_1", "CONFIRMED", payment_intent_id="pay_1", order_id="ord_1"),
            {"status": "CONFIRMED", "payment_intent_id": "pay_1", "order_id": "ord_1"},
        ),
        (
            StatusChange(
                "rsv_1", "CANCELLED", cancel_reason="payment_failed", error_code="CARD_DECLINED"
            ),
            {
                "status": "CANCELLED",
                "cancel_reason": "payment_failed",
                "error_code": "CARD_DECLINED",
            },
        ),
        (
            StatusChange("rsv_1", "CANCELLED", cancel_reason="payment_failed"),
            {"status": "CANCELLED", "cancel_reason": "payment_failed"},
        ),
        (StatusChange("rsv_1", "EXPIRED"), {"status": "EXPIRED"}),
    ],
)
def test_the_patch_says_what_is_known_and_nothing_else(
    neighbour: Neighbour, client: ReservationClient, change: StatusChange, body: dict[str, str]
) -> None:
    neighbour.says(204)
    client.update_status(change, CALL)
    request = neighbour.requests[0]
    assert (request.command, request.path) == ("PATCH", "/internal/reservations/rsv_1")
    assert json.loads(request.body) == body


def test_the_patch_carries_its_headers(neighbour: Neighbour, client: ReservationClient) -> None:
    neighbour.says(204)
    parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    trace = (("traceparent", parent), ("x-trace-id", "t 1"))
    client.update_status(EXPIRE, CallContext(10.0, trace))
    headers = neighbour.requests[0].headers
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == "status:EXPIRED:rsv_1"
    assert headers["traceparent"] == parent
    assert headers["x-trace-id"] == "t 1"


def test_the_key_names_the_effect_not_what_led_to_it(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(204)
    for payment in ("pay_1", "pay_2", None):
        client.update_status(StatusChange("rsv_1", "CONFIRMED", payment_intent_id=payment), CALL)
    keys = {request.headers["Idempotency-Key"] for request in neighbour.requests}
    assert keys == {"status:CONFIRMED:rsv_1"}


def test_the_get_carries_the_trace_and_no_key(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(200, {})
    client.get("rsv_1", CallContext(10.0, (("x-trace-id", "t 1"),)))
    request = neighbour.requests[0]
    assert (request.command, request.path) == ("GET", "/internal/reservations/rsv_1")
    assert request.headers["x-trace-id"] == "t 1"
    assert "Idempotency-Key" not in request.headers
    assert request.body == b""


@pytest.mark.parametrize("prefix", ["/api/v1", "/api/v1/"])
def test_a_base_url_may_have_a_path(neighbour: Neighbour, prefix: str) -> None:
    neighbour.says(204)
    client = ReservationClient(neighbour.base + prefix, connections=1)
    client.update_status(EXPIRE, CALL)
    client.close()
    assert neighbour.requests[0].path == "/api/v1/internal/reservations/rsv_1"


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


# The GET.

FACTS = Reservation("HOLD", "concert", ("A1", "A2"), 2, "pay_1")


@pytest.mark.parametrize(
    "body",
    [
        {
            "reservation_id": "rsv_1",
            "event_id": "concert",
            "user_id": "usr_1",
            "status": "HOLD",
            "seat_ids": ["A1", "A2"],
            "quantity": 2,
            "hold_expires_at": "2025-01-23T10:00:00Z",
            "payment_intent_id": "pay_1",
        },
        {
            "reservationId": "rsv_1",
            "eventId": "concert",
            "userId": "usr_1",
            "status": "HOLD",
            "seatIds": ["A1", "A2"],
            "quantity": 2,
            "holdExpiresAt": "2025-01-23T10:00:00Z",
            "paymentIntentId": "pay_1",
        },
    ],
    ids=["snake_case", "camelCase"],
)
def test_the_get_reads_both_spellings(
    neighbour: Neighbour, client: ReservationClient, body: dict[str, Any]
) -> None:
    neighbour.says(200, body)
    assert client.get("rsv_1", CALL) == FACTS


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", 7),
        ("status", ""),
        ("event_id", None),
        ("event_id", ["concert"]),
        ("seat_ids", None),
        ("seat_ids", "A1"),
        ("seat_ids", ["A1", 2]),
        ("seat_ids", ["A1", ""]),
        ("quantity", "2"),
        ("quantity", 0),
        ("quantity", True),
        ("quantity", 2.0),
        ("quantity", 2**31),
        ("payment_intent_id", {}),
    ],
)
def test_a_field_of_the_get_that_is_no_use_is_absent(
    neighbour: Neighbour, client: ReservationClient, field: str, value: Any
) -> None:
    facts = {
        "status": "HOLD",
        "event_id": "concert",
        "seat_ids": ["A1", "A2"],
        "quantity": 2,
        "payment_intent_id": "pay_1",
    }
    neighbour.says(200, facts | {field: value})
    seen = client.get("rsv_1", CALL)
    assert seen is not None
    expected = {name: getattr(FACTS, name) for name in facts} | {field: None}
    assert {name: getattr(seen, name) for name in facts} == expected


def test_the_get_of_general_admission_has_a_quantity_and_no_seats(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(200, {"status": "HOLD", "seat_ids": [], "quantity": 3})
    assert client.get("rsv_1", CALL) == Reservation("HOLD", None, (), 3, None)


def test_the_get_counts_a_seat_named_twice_once(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(200, {"seat_ids": ["A2", "A1", "A2"]})
    assert client.get("rsv_1", CALL) == Reservation(seat_ids=("A2", "A1"))


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, error("RESERVATION_NOT_FOUND")), (400, b""), (409, b""), (410, b""), (422, b"")],
)
def test_a_get_that_answers_without_a_reservation_gives_none(
    neighbour: Neighbour, client: ReservationClient, status: int, body: Any
) -> None:
    neighbour.says(status, body)
    assert client.get("rsv_1", CALL) is None


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (408, b"", TRANSIENT),
        (425, b"", TRANSIENT),
        (429, b"", TRANSIENT),
        (500, b"", TRANSIENT),
        (503, b"", TRANSIENT),
        (504, HTML, TRANSIENT),
        (401, b"", TRANSIENT),
        (403, b"", TRANSIENT),
        (405, b"", TRANSIENT),
        (301, b"", TRANSIENT),
        (200, HTML, TRANSIENT),
        (200, b"", TRANSIENT),
        (200, b"[]", TRANSIENT),
        (200, b"null", TRANSIENT),
        (204, b"", TRANSIENT),
    ],
)
def test_a_get_that_fails_for_a_passing_reason_is_told_so(
    neighbour: Neighbour,
    client: ReservationClient,
    status: int,
    body: bytes,
    kind: type[Exception],
) -> None:
    neighbour.says(status, body)
    caught = raises(kind, lambda: client.get("rsv_1", CALL))
    assert f"GET: HTTP {status}" in str(caught)


def test_a_get_that_is_asked_to_wait_says_for_how_long(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(429, Retry_After="7")
    assert raises(TRANSIENT, lambda: client.get("rsv_1", CALL)).retry_after == 7.0


# The probe of a breaker that is open.


def test_the_probe_only_opens_a_connection(neighbour: Neighbour, client: ReservationClient) -> None:
    client.probe(timeout=10.0)
    assert neighbour.requests == []


def test_the_probe_says_when_nobody_is_there(closed_port: int) -> None:
    client = ReservationClient(f"http://127.0.0.1:{closed_port}", connections=1)
    raises(TRANSIENT, lambda: client.probe(timeout=10.0))


# https.


def self_signed(pem: Path) -> ssl.SSLContext:
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


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
