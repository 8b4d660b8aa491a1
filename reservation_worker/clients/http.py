"""HTTP calls with kept connections, a total deadline and a bounded body."""

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry, parse_url, wait_for_read

from reservation_worker import __version__
from reservation_worker.clients.deadline import Connection, TLSSocket
from reservation_worker.config.redaction import Redactor
from reservation_worker.config.token import TokenFile, bearer
from reservation_worker.errors import TransientError

redact = Redactor({})
"""Redacts text of answers before it is cut, because an answer may echo the token."""

MAX_BODY = 1024 * 1024
"""The largest answer that is read, in bytes; the usual one has a few hundred."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and the Retry-After header in seconds (0: absent or unreadable).

    `challenge` is the WWW-Authenticate header.
    """

    status: int
    body: bytes
    retry_after: float
    challenge: str = ""


class HttpTransport:
    """Connections to one base URL, shared by all pool threads; at most `connections` stay idle.

    With a `token_file` every request carries the bearer token in it.
    Raises ConfigurationError if there is none.
    """

    def __init__(self, base: str, connections: int, token_file: str | None = None) -> None:
        self._token = TokenFile(token_file) if token_file else None
        url = parse_url(base)
        self._prefix = (url.path or "").rstrip("/")
        # urllib3 keeps an IPv6 host's brackets, which belong to URLs only.
        self._host = (url.host or "").strip("[]")
        self._port = url.port or (443 if url.scheme == "https" else 80)
        self._headers = {
            "Host": url.netloc or "",
            "User-Agent": f"reservation-worker/{__version__}",
        }
        self._connections = connections
        self._tls: ssl.SSLContext | None = None
        if url.scheme == "https":
            self._tls = ssl.create_default_context()
            self._tls.sslsocket_class = TLSSocket
            self._tls.set_alpn_protocols(["http/1.1"])
        # The last one used is used next. Each reconnect makes a new list.
        self._idle: list[Connection] = []

    def request(
        self,
        method: str,
        path: str,
        timeout: float,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> Answer:
        """One call of at most `timeout` seconds; redirects are answers, not followed.

        It is sent again, once and on a new connection, if a kept connection broke before the first
        byte of an answer: the server had closed it, or a middlebox had forgotten it. Every request
        must therefore be safe to repeat.

        A 401 is final only if the file still holds the same token.

        Raises TransientError unless a whole answer of at most MAX_BODY bytes comes in time.
        """
        deadline = time.monotonic() + timeout
        headers = {**self._headers, **headers}
        if self._token is None:
            return self._send(method, path, deadline, headers, body)
        token = self._token.current()
        answer = self._send(method, path, deadline, headers | bearer(token), body)
        if answer.status == 401 and (other := self._token.current(refused=True)) != token:
            answer = self._send(method, path, deadline, headers | bearer(other), body)
        return answer

    def _send(
        self,
        method: str,
        path: str,
        deadline: float,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Answer:
        idle = self._idle
        connection = _take(idle) or self._connection()
        try:
            try:
                answer = self._exchange(connection, method, path, deadline, headers, body)
            except (HTTPException, OSError):
                if not connection.exchange.met_a_stale_connection():
                    raise
                # A new one: the server may have closed the other kept ones as well.
                connection = self._connection()
                answer = self._exchange(connection, method, path, deadline, headers, body)
        except (HTTPException, OSError) as error:
            # The error may quote a line of the answer, and a line may be 64 KiB.
            text = redact(f"{type(error).__name__}: {error}"[:1000])[:200]
            raise TransientError(f"{method} {path}: {text}") from error
        if idle is self._idle and len(idle) < self._connections:
            idle.append(connection)
        else:
            connection.close()
        return answer

    def _connection(self) -> Connection:
        return Connection(self._host, self._port, self._tls)

    def _exchange(
        self,
        connection: Connection,
        method: str,
        path: str,
        deadline: float,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Answer:
        connection.exchange.begin(deadline)
        try:
            connection.request(method, self._prefix + path, body, headers)
            # A response to be read until the end of its connection has taken the socket over.
            with connection.getresponse() as response:
                connection.exchange.in_head = False
                return _read(response, f"{method} {path}")
        except BaseException:
            connection.close()
            raise

    def reconnect(self) -> None:
        """Later calls make new connections. Calls in flight keep theirs until they end."""
        old, self._idle = self._idle, []
        while connection := _take(old):
            connection.close()

    def close(self) -> None:
        """Close the idle connections."""
        self.reconnect()


def _take(idle: list[Connection]) -> Connection | None:
    """The connection that was used last; None if there is none."""
    try:
        connection = idle.pop()
    except IndexError:
        return None
    # An idle connection that is readable was closed, or the server announced that it will close it.
    if connection.sock is not None and wait_for_read(connection.sock, 0.0):
        connection.close()
    return connection


def _read(response: HTTPResponse, call: str) -> Answer:
    try:
        content = response.read(MAX_BODY + 1)
    except ValueError as error:
        # http.client reads on after a chunk of negative size.
        raise HTTPException(f"the body is not HTTP: {error}") from error
    if len(content) > MAX_BODY:
        raise TransientError(f"{call}: an answer larger than {MAX_BODY} bytes")
    if response.length:
        # http.client raises only for a body that breaks off in a chunk.
        raise TransientError(f"{call}: the answer broke off in its body")
    return Answer(
        response.status,
        content,
        _retry_after(response.headers.get("Retry-After")),
        response.headers.get("WWW-Authenticate", ""),
    )


def _retry_after(value: str | None) -> float:
    if value is None:
        return 0.0
    try:
        return float(Retry().parse_retry_after(value))
    except (InvalidHeader, OverflowError, ValueError):
        return 0.0
