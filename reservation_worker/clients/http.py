"""HTTP calls that end in time: connection pool, total deadline, bounded body."""

import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry, Url, parse_url

from reservation_worker import __version__
from reservation_worker.errors import TransientError

MAX_BODY = 1024 * 1024
"""The largest answer that is read, in bytes: our neighbours' are a few hundred."""

_call = threading.local()


class _Deadline:
    """Bounds every read and write by the deadline of the calling thread's call.

    A socket's own timeout bounds each wait; a server that sends a byte now and then would hold
    the thread for ever.
    """

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self._bound()
        size: int = super().recv_into(*args, **kwargs)  # type: ignore[misc]
        if size == 0 and _call.in_head:
            # http.client takes the end of the stream for the end of the headers.
            raise ConnectionResetError("the answer broke off in its head")
        return size

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self._bound()
        super().sendall(*args, **kwargs)  # type: ignore[misc]

    def _bound(self) -> None:
        remaining = _call.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the call's deadline is over")
        self.settimeout(remaining)  # type: ignore[attr-defined]


class _DeadlineSocket(_Deadline, socket.socket):
    pass


class _DeadlineTLSSocket(_Deadline, ssl.SSLSocket):
    def do_handshake(self, block: bool = False) -> None:
        self._bound()
        super().do_handshake(block)


class _DeadlineConnection(HTTPConnection):
    def connect(self) -> None:
        super().connect()
        plain = self.sock
        self.sock = _DeadlineSocket(plain.family, plain.type, plain.proto, fileno=plain.detach())


class _DeadlineConnectionPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _DeadlineConnection


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and the Retry-After header in seconds (0: none or not readable)."""

    status: int
    body: bytes
    retry_after: float


class HttpTransport:
    """One pool of kept-alive connections to one base URL, shared by all pool threads."""

    def __init__(self, base: str, connections: int) -> None:
        url = parse_url(base)
        self._prefix = (url.path or "").rstrip("/")
        # An IPv6 host comes in brackets, which belong to URLs only.
        self._address = (
            (url.host or "").strip("[]"),
            url.port or (443 if url.scheme == "https" else 80),
        )
        self._pool = self._make_pool(url, connections)

    def _make_pool(self, url: Url, connections: int) -> urllib3.HTTPConnectionPool:
        host, port = self._address
        headers = {"User-Agent": f"reservation-worker/{__version__}"}
        if url.scheme != "https":
            return _DeadlineConnectionPool(host, port, maxsize=connections, headers=headers)
        context = ssl.create_default_context()
        context.sslsocket_class = _DeadlineTLSSocket
        return urllib3.HTTPSConnectionPool(
            host, port, maxsize=connections, headers=headers, ssl_context=context
        )

    def request(
        self,
        method: str,
        path: str,
        timeout: float,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> Answer:
        """One call of at most `timeout` seconds; redirects are answers, not followed.

        Raises TransientError when there is no whole answer of at most MAX_BODY bytes in time.
        """
        _call.deadline = time.monotonic() + timeout
        _call.in_head = True
        try:
            response = self._pool.urlopen(
                method,
                self._prefix + path,
                body=body,
                headers={**self._pool.headers, **headers},
                retries=False,
                redirect=False,
                timeout=urllib3.Timeout(total=timeout),
                preload_content=False,
            )
            _call.in_head = False
            content = response.read(MAX_BODY + 1, decode_content=False)
            if len(content) > MAX_BODY:
                response.close()
                raise TransientError(f"{method} {path}: an answer of over {MAX_BODY} bytes")
            if response.length_remaining:
                # urllib3 raises only for a body that breaks off before its first byte.
                response.close()
                raise TransientError(f"{method} {path}: the answer broke off in its body")
        except (HTTPError, OSError) as error:
            # It may quote a line of the answer, and a line may be 64 KiB.
            text = f"{type(error).__name__}: {error}"[:200]
            raise TransientError(f"{method} {path}: {text}") from error
        return Answer(response.status, content, _retry_after(response.headers.get("Retry-After")))

    def probe(self, timeout: float) -> None:
        """Open and close a TCP connection. Raises TransientError unless done in `timeout` s."""
        try:
            socket.create_connection(self._address, timeout=timeout).close()
        except OSError as error:
            raise TransientError(f"no connection to {self._address}: {error}") from error

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close()


def _retry_after(value: str | None) -> float:
    if value is None:
        return 0.0
    try:
        return float(Retry().parse_retry_after(value))
    except (InvalidHeader, OverflowError, ValueError):
        return 0.0
