"""reservation-api for tests: an HTTP server whose answers, even malformed ones, a test sets."""

import json
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from reservation_worker.clients.ports import CallContext, StatusAnswer, StatusChange
from reservation_worker.errors import PermanentError, TransientError

TRANSIENT, PERMANENT = TransientError, PermanentError

CALL = CallContext(timeout=10.0)
CONFIRM = StatusChange("rsv_1", "CONFIRMED", payment_intent_id="pay_1")
EXPIRE = StatusChange("rsv_1", "EXPIRED")
DONE = StatusAnswer(done=True, status="EXPIRED")


Answer = Callable[["Request"], None]


class Request(BaseHTTPRequestHandler):
    """One request; the test's `answer` may do anything to its connection."""

    protocol_version = "HTTP/1.1"
    server: "Neighbour"

    def do_PATCH(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append(self)
        self.server.authorizations.append(self.headers["Authorization"])
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
        """Keeps the access log out of the test's output."""


class Neighbour(ThreadingHTTPServer):
    """reservation-api with an answer that a test sets; it keeps requests and connections."""

    daemon_threads = True
    request_queue_size = 50

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        self.tls = tls
        self.answer: Answer
        self.requests: list[Request] = []
        self.authorizations: list[str | None] = []
        self.connections = 0
        self.closing = threading.Event()
        super().__init__((host, 0), Request)

    @property
    def base(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.server_port}"

    def says(self, status: int, body: Any = b"", **headers: str) -> None:
        """Give this answer from now on; a body that is not bytes becomes JSON."""
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
        """No traceback on stderr: these tests are about clients that hang up."""

    def __enter__(self) -> "Neighbour":
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.closing.set()
        self.shutdown()
        self.server_close()


def raises(kind: type[Exception], call: Callable[[], Any]) -> Any:
    with pytest.raises(kind) as caught:
        call()
    assert caught.type is kind, f"{caught.value!r}"
    return caught.value


def error(code: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": "because of the test", "traceId": "t"}, **fields}


HTML = b"<html><body>Welcome to nginx!</body></html>"


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
