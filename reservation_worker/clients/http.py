"""HTTP calls with kept connections, a total deadline and a bounded answer."""

import ssl
import time
from collections.abc import Mapping

from httptools import HttpParserError, HttpParserUpgrade
from urllib3.util import parse_url

from reservation_worker import __version__
from reservation_worker.clients.deadline import Connection
from reservation_worker.clients.http_answer import Answer, FinalAnswer
from reservation_worker.config.redaction import Redactor
from reservation_worker.config.token import TokenFile, bearer
from reservation_worker.errors import TransientError

redact = Redactor({})
"""Redacts text of answers before it is cut, because an answer may echo the token."""


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
            "Accept-Encoding": "identity",
        }
        self._connections = connections
        self._tls: ssl.SSLContext | None = None
        if url.scheme == "https":
            self._tls = ssl.create_default_context()
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

        Raises TransientError unless a whole answer of at most MAX_BODY bytes comes in time, and
        ValueError for headers that HTTP can't carry.
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
        request = _written(method, self._prefix + path, headers, body)
        idle = self._idle
        connection = _take(idle) or self._connection()
        try:
            try:
                answer = _exchange(connection, request, deadline)
            except OSError:
                if not connection.met_a_stale_connection():
                    raise
                # A new one: the server may have closed the other kept ones as well.
                connection = self._connection()
                answer = _exchange(connection, request, deadline)
        except (HttpParserError, HttpParserUpgrade, OSError) as error:
            # Redacted because a library may quote the answer.
            text = redact(f"{type(error).__name__}: {error}")[:200]
            raise TransientError(f"{method} {path}: {text}") from error
        if answer.keeps_connection and idle is self._idle and len(idle) < self._connections:
            idle.append(connection)
        else:
            connection.close()
        return answer.read()

    def _connection(self) -> Connection:
        return Connection(self._host, self._port, self._tls)

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
    if connection.readable():
        connection.close()
    return connection


def _written(method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """The request as bytes. Raises ValueError for text that HTTP can't carry."""
    lines = [f"{method} {target} HTTP/1.1", *map(": ".join, headers.items())]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines)
    if head.count("\n") + head.count("\r") != 2 * len(lines) - 2:
        raise ValueError("a header with a line break")
    return f"{head}\r\n\r\n".encode("latin-1") + (body or b"")


def _exchange(connection: Connection, request: bytes, deadline: float) -> FinalAnswer:
    """Send the request and read its answer. The connection is closed if that fails."""
    answer = FinalAnswer()
    try:
        connection.begin(deadline)
        connection.send(request)
        while not answer.complete:
            answer.feed(connection.receive())
    except BaseException:
        connection.close()
        raise
    finally:
        answer.forget_parser()
    return answer
