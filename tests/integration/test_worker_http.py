"""The operators' client against servers that stall, break off, flood, redirect or use TLS."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reservation_worker.cli import worker_http
from reservation_worker.clients.http_answer import MAX_BODY
from reservation_worker.errors import OperationError
from tests.fake_queue import PATIENCE
from tests.unit.clients.http_neighbour import self_signed

SOON = 0.3
Script = Callable[[socket.socket, threading.Event], None]


def silence(client: socket.socket, over: threading.Event) -> None:
    over.wait(PATIENCE)


def drip(client: socket.socket, over: threading.Event) -> None:
    while not over.wait(SOON / 6):
        client.sendall(b"x")


def drip_a_status_line(client: socket.socket, over: threading.Event) -> None:
    client.sendall(b"HTTP/1.1 200 ")
    drip(client, over)


def drip_a_header(client: socket.socket, over: threading.Event) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    drip(client, over)


def drip_a_body(client: socket.socket, over: threading.Event) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    drip(client, over)


def drip_chunks(client: socket.socket, over: threading.Event) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not over.wait(SOON / 6):
        client.sendall(b"1\r\nx\r\n")


def break_off(client: socket.socket, over: threading.Event) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")


def flood(client: socket.socket, over: threading.Event) -> None:
    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (2 * MAX_BODY))


@pytest.fixture
def serve() -> Iterator[Callable[[Script], str]]:
    """Run a script that answers one connection; returns the URL."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    threads = []

    def start(script: Script) -> str:
        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                # The caller may have hung up.
                with suppress(OSError):
                    script(client, over)

        threads.append(threading.Thread(target=answer, daemon=True))
        threads[-1].start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/health"

    yield start
    over.set()
    for thread in threads:
        thread.join(PATIENCE)
    listener.close()


@pytest.mark.parametrize(
    "script", [silence, drip_a_status_line, drip_a_header, drip_a_body, drip_chunks]
)
def test_a_call_ends_at_its_limit_however_slow_the_server_is(
    serve: Callable[[Script], str], script: Script
) -> None:
    # The servers go on until the test is over: without the limit the call would not return.
    with pytest.raises(OperationError, match=r"/health does not answer: nothing whole came"):
        worker_http.get(serve(script), SOON)


def test_an_answer_that_breaks_off_is_an_error(serve: Callable[[Script], str]) -> None:
    with pytest.raises(OperationError, match="does not answer"):
        worker_http.get(serve(break_off))


def test_an_endless_answer_is_given_up_at_the_read_limit(
    serve: Callable[[Script], str],
) -> None:
    with pytest.raises(OperationError, match=f"more than {MAX_BODY} bytes"):
        worker_http.get(serve(flood), PATIENCE)


def test_the_error_quotes_the_systems_reason() -> None:
    with socket.socket() as taken:
        # Bound, and nobody listens.
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(OperationError) as failed:
            worker_http.get(f"http://127.0.0.1:{port}/health")
    assert str(failed.value) == (
        f"http://127.0.0.1:{port}/health does not answer: [Errno 111] Connection refused"
    )


class Settled(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Settled)
    context = self_signed(tmp_path / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_certificate_is_trusted_if_the_system_trusts_its_authority(
    tls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in the worker itself; certifi's list lacks a cluster's private CA.
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    assert worker_http.get(tls, PATIENCE).body == b"{}"


def test_an_untrusted_certificate_is_refused(tls: str) -> None:
    with pytest.raises(OperationError, match="certificate verify failed"):
        worker_http.get(tls, PATIENCE)


def test_certifis_authorities_are_not_trusted_beside_the_systems(
    tls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(tmp_path / "server.pem"))
    with pytest.raises(OperationError, match="certificate verify failed"):
        worker_http.get(tls, PATIENCE)
