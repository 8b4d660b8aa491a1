"""HTTP calls that end in time: connection pool, total deadline, bounded body."""

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

import urllib3
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry, parse_url

from reservation_worker import __version__
from reservation_worker.clients.deadline import (
    DeadlinePool,
    DeadlineTLSPool,
    DeadlineTLSSocket,
    exchange,
)
from reservation_worker.config.redaction import Redactor
from reservation_worker.config.token import TokenFile, bearer
from reservation_worker.errors import TransientError

redact = Redactor({})
"""For what answers say, before it is cut: they may echo the token."""

MAX_BODY = 1024 * 1024
"""The largest answer that is read, in bytes: our neighbours' are a few hundred."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and the Retry-After header in seconds (0: none or not readable).

    `challenge` is the WWW-Authenticate header.
    """

    status: int
    body: bytes
    retry_after: float
    challenge: str = ""


class HttpTransport:
    """One pool of kept-alive connections to one base URL, shared by all pool threads.

    With a `token_file` every request carries the bearer token in it.
    Raises ConfigurationError when there is none.
    """

    def __init__(self, base: str, connections: int, token_file: str | None = None) -> None:
        self._token = TokenFile(token_file) if token_file else None
        url = parse_url(base)
        self._prefix = (url.path or "").rstrip("/")
        # An IPv6 host comes in brackets, which belong to URLs only.
        self._host = (url.host or "").strip("[]")
        self._port = url.port or (443 if url.scheme == "https" else 80)
        self._connections = connections
        self._tls: ssl.SSLContext | None = None
        if url.scheme == "https":
            self._tls = ssl.create_default_context()
            self._tls.sslsocket_class = DeadlineTLSSocket
        self._pool = self._make_pool()

    def _make_pool(self) -> urllib3.HTTPConnectionPool:
        headers = {"User-Agent": f"reservation-worker/{__version__}"}
        if self._tls is None:
            return DeadlinePool(self._host, self._port, maxsize=self._connections, headers=headers)
        return DeadlineTLSPool(
            self._host,
            self._port,
            maxsize=self._connections,
            headers=headers,
            ssl_context=self._tls,
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

        It is sent again, once and on a new connection, where a kept connection broke before the
        first byte of an answer: the server had closed it, or a middlebox had forgotten it. What is
        sent must therefore bear a repetition.

        An answer 401 is final only if the token is still the one in its file.

        Raises TransientError when there is no whole answer of at most MAX_BODY bytes in time.
        """
        exchange.deadline = time.monotonic() + timeout
        headers = {**self._pool.headers, **headers}
        if self._token is None:
            return self._send(method, path, headers, body)
        token = self._token.current()
        answer = self._send(method, path, headers | bearer(token), body)
        if answer.status == 401 and (other := self._token.read_again()) != token:
            answer = self._send(method, path, headers | bearer(other), body)
        return answer

    def _send(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        try:
            try:
                return self._exchange(self._pool, method, path, headers, body)
            except (HTTPError, OSError):
                if not exchange.met_a_stale_connection():
                    raise
            # One of its own: this pool may give another that the server has closed as well.
            with self._make_pool() as pool:
                return self._exchange(pool, method, path, headers, body)
        except (HTTPError, OSError) as error:
            # It may quote a line of the answer, and a line may be 64 KiB.
            text = redact(f"{type(error).__name__}: {error}"[:1000])[:200]
            raise TransientError(f"{method} {path}: {text}") from error

    def _exchange(
        self,
        pool: urllib3.HTTPConnectionPool,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Answer:
        exchange.begin()
        response = pool.urlopen(
            method,
            self._prefix + path,
            body=body,
            headers=headers,
            retries=False,
            redirect=False,
            timeout=urllib3.Timeout(total=exchange.remaining()),
            preload_content=False,
        )
        exchange.in_head = False
        content = response.read(MAX_BODY + 1, decode_content=False)
        if len(content) > MAX_BODY:
            response.close()
            raise TransientError(f"{method} {path}: an answer of over {MAX_BODY} bytes")
        if response.length_remaining:
            # urllib3 raises only for a body that breaks off before its first byte.
            response.close()
            raise TransientError(f"{method} {path}: the answer broke off in its body")
        return Answer(
            response.status,
            content,
            _retry_after(response.headers.get("Retry-After")),
            response.headers.get("WWW-Authenticate", ""),
        )

    def reconnect(self) -> None:
        """Later calls make new connections. Calls in flight keep theirs until they end."""
        old, self._pool = self._pool, self._make_pool()
        old.close()

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
