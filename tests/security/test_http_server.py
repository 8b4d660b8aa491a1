"""The HTTP server serves its pages and refuses everything else, without a log line or a Server
header.

tests/integration/test_health_server.py has the pages themselves.
"""

import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from reservation_worker.servers import connections
from reservation_worker.status.probes import Check
from tests.fake_queue import PATIENCE
from tests.integration.test_health_server import GOOD, Rig
from tests.security.raw_http import HOST, SECOND, ask, probes_answer, read_all


def check_plain(answer: bytes, *secret: str) -> None:
    """One answer that names no software and repeats nothing of the request."""
    text = answer.decode("latin-1")
    assert text.count("HTTP/1.") <= 1, text
    head = text.partition("\r\n\r\n")[0]
    assert "Server: reservation-worker\r\n" in f"{head}\r\n"
    assert "Connection: close" in head
    for word in ("Traceback", "waitress", "werkzeug", "flask", "python", "File ", *secret):
        assert word.lower() not in text.lower(), text


# Requests that it refuses.


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "X"]
)
@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/", "/api/v1/status"])
def test_only_get_and_head_are_served(rig: Rig, method: str, path: str) -> None:
    answer = ask(rig, f"{method} {path} HTTP/1.1\r\n{HOST}X-Echo: canary\r\n\r\n")
    check_plain(answer, "canary")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 405 " in head
    allow = next(line for line in head.split(b"\r\n") if line.startswith(b"Allow: "))
    assert {word.strip() for word in allow[7:].split(b",")} == {b"GET", b"HEAD"}
    assert json.loads(body) == {"error": "method not allowed"}


NOT_SERVED = {
    "up": "GET /../../etc/passwd HTTP/1.1",
    "up, encoded": "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1",
    "up from a page": "GET /health/../../etc/passwd HTTP/1.1",
    "NUL": "GET /health%00 HTTP/1.1",
    "a line break": "GET /health%0d%0aX-Injected:%20passwd HTTP/1.1",
    "not UTF-8": "GET /%ff%fe HTTP/1.1",
    "up from the page's own files": "GET /api/v1/../../../etc/passwd HTTP/1.1",
    "slashes": "GET /x//passwd HTTP/1.1",
    "profiler": "GET /debug/pprof/heap HTTP/1.1",
    "files": "GET /.env HTTP/1.1",
    "markup": "GET /<script>passwd</script> HTTP/1.1",
    "a template": "GET /{{7*191}} HTTP/1.1",
    "all of it": "OPTIONS * HTTP/1.1",
    "HTTP/2": "PRI * HTTP/2.0",
    "a tunnel": "CONNECT 127.0.0.1:22 HTTP/1.1",
}


@pytest.mark.parametrize("line", NOT_SERVED.values(), ids=NOT_SERVED.keys())
def test_every_other_target_is_a_404_that_repeats_nothing(rig: Rig, line: str) -> None:
    answer = ask(rig, f"{line}\r\n{HOST}\r\n")
    check_plain(answer, "passwd", "injected", "1337", "location:")
    assert b" 404 " in answer
    assert b"X-Injected" not in answer


@pytest.mark.parametrize("host", ["evil.example", "a b", '<x>"', "[", "evil.example:99999", ""])
@pytest.mark.parametrize(
    "path", ["/health", "//health", "/health//", "/nothing", "/", "/api/v1/config"]
)
def test_no_host_header_is_believed_or_repeated(rig: Rig, host: str, path: str) -> None:
    answer = ask(
        rig, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: evil.example\r\n\r\n"
    )
    check_plain(answer, "evil", "location:")
    assert answer[9:12] in (b"200", b"404")


def test_it_is_not_a_proxy(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as inside:
        inside.setblocking(False)
        target = f"http://127.0.0.1:{inside.getsockname()[1]}"
        assert b" 200 " in ask(rig, f"GET {target}/health HTTP/1.1\r\n{HOST}\r\n")
        assert b" 404 " in ask(rig, f"GET {target}/secrets HTTP/1.1\r\n{HOST}\r\n")
        assert b" 404 " in ask(rig, f"CONNECT {target[7:]} HTTP/1.1\r\n{HOST}\r\n")
        with pytest.raises(BlockingIOError):
            inside.accept()


# Two requests where a proxy may see one: the second is never answered.

SMUGGLED = {
    "both lengths": "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both, the other way": "Transfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n0\r\n\r\n",
    "an unknown coding": "Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n",
    "chunked and more": "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "chunked twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a vertical tab": "Transfer-Encoding: \x0bchunked\r\nContent-Length: 0\r\n\r\n",
    "a blank before the colon": "Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n",
    "a folded line": "Transfer-Encoding:\r\n chunked\r\nContent-Length: 0\r\n\r\n",
    "two lengths": "Content-Length: 0\r\nContent-Length: 9\r\n\r\n",
    "a signed length": "Content-Length: +0\r\n\r\n",
    "a negative length": "Content-Length: -1\r\n\r\n",
    "a length in hex": "Content-Length: 0x0\r\n\r\n",
    "a bare LF": "X: a\nContent-Length: 0\r\n\r\n",
    "a bare CR": "X: a\rContent-Length: 0\r\n\r\n",
    "a bad chunk": "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "chunk extensions": "Transfer-Encoding: chunked\r\n\r\n0;x=y\r\n\r\n",
    "nothing but one after the other": "\r\n",
}


@pytest.mark.parametrize("rest", SMUGGLED.values(), ids=SMUGGLED.keys())
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_gets_one_answer(
    rig: Rig, noise: Callable[[], list[str]], method: str, rest: str
) -> None:
    answer = ask(rig, f"{method} /health HTTP/1.1\r\n{HOST}{rest}{SECOND}")
    check_plain(answer)
    assert b"sqs_poll_errors" not in answer
    assert noise() == []


# Requests that are too large or malformed.

BIG = 10_000_000_000
REFUSED = {
    "a body of 10 GB": (f"Content-Length: {BIG}\r\n\r\n", 413),
    "a body of 10 GB, politely": (f"Expect: 100-continue\r\nContent-Length: {BIG}\r\n\r\n", 413),
    "a header of 64 KiB": ("X: " + "x" * 65_536 + "\r\n\r\n", 431),
    "a header of 256 KiB": ("X: " + "x" * 262_144 + "\r\n\r\n", 431),
    "10,000 headers": ("X: y\r\n" * 10_000 + "\r\n", 431),
    "a length of 5,000 digits": ("Content-Length: " + "9" * 5_000 + "\r\n\r\n", 0),
}


@pytest.mark.parametrize(("rest", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_a_request_that_is_too_large_is_refused_at_once_and_not_logged(
    rig: Rig, noise: Callable[[], list[str]], rest: str, status: int
) -> None:
    answer = ask(rig, f"POST /health HTTP/1.1\r\n{HOST}{rest}")
    # Not even the refusal may get through: the client has not read it when it is reset.
    assert not answer or answer.startswith(f"HTTP/1.1 {status} ".encode()) or b"HTTP/1.0" in answer
    assert b" 200 " not in answer
    probes_answer(f"http://127.0.0.1:{rig.port}")
    assert noise() == []


def test_no_client_is_asked_to_send_its_body(rig: Rig) -> None:
    with rig.connect(b"POST /health HTTP/1.1\r\nExpect: 100-continue\r\n") as client:
        client.sendall(b"Content-Length: 2\r\n\r\n")
        client.sendall(b"{}")
        assert read_all(client).startswith(b"HTTP/1.1 405 ")


def test_an_endless_body_is_not_read_on(rig: Rig) -> None:
    head = f"POST /health HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    sent = 0
    with rig.connect(head.encode()) as client, suppress(ConnectionError):
        while sent < BIG:
            sent += client.send(chunk)
    # No more than two kernels buffer.
    assert sent < 64 * 1024 * 1024


NONSENSE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /health\r\n\r\n",
    b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n",
    b"\r\n\r\n\r\n\r\nG\x00T / HTTP/1.1\r\n\r\n",
    b"GET /health HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"GET /health HTTP/1.1\r\nHost\xe9: x\r\n\r\n",
]


@pytest.mark.parametrize("raw", NONSENSE, ids=range(len(NONSENSE)))
def test_garbage_closes_its_connection_and_is_not_logged(
    rig: Rig, noise: Callable[[], list[str]], raw: bytes
) -> None:
    with rig.connect(raw) as client:
        assert read_all(client).count(b"HTTP/1.") <= 1
    probes_answer(f"http://127.0.0.1:{rig.port}")
    assert noise() == []


def test_urgent_data_closes_its_connection_at_once_and_is_not_logged(
    rig: Rig, noise: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LIFETIME", 3600.0)
    with rig.connect(b"GET /hea") as client:
        client.send(b"!", socket.MSG_OOB)
        assert read_all(client) == b""
    probes_answer(f"http://127.0.0.1:{rig.port}")
    assert noise() == []


def test_more_requests_than_threads_are_not_logged(
    rig: Rig, noise: Callable[[], list[str]]
) -> None:
    entered, released = threading.Semaphore(0), threading.Event()

    def hang() -> list[Check]:
        entered.release()
        assert released.wait(PATIENCE)
        return [GOOD]

    rig.probes.ready = hang  # type: ignore[method-assign]
    with ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(rig.get, "/ready") for _ in range(12)]
        for _ in range(4):
            assert entered.acquire(timeout=PATIENCE)
        released.set()
        assert {answer.result().status_code for answer in answers} == {200}
    assert noise() == []
