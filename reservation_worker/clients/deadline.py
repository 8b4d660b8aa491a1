"""HTTP connections with one deadline for the whole call: DNS, connecting, sending and reading.

A socket's own timeout bounds each wait only: a server that sends a byte now and then would hold
the thread for ever.
"""

import socket
import ssl
import threading
import time
from http.client import HTTPConnection, HTTPResponse
from queue import Empty, SimpleQueue
from typing import Any, cast

MAX_ANSWER = 8 * 1024 * 1024
"""The most bytes of an answer on the wire: heads, the framing of chunks and trailers included."""


class Exchange:
    """One request and its answer on a connection."""

    def __init__(self) -> None:
        self.begin(0.0)

    def begin(self, deadline: float) -> None:
        """Begin an exchange that ends at `deadline`, by the monotonic clock."""
        self.deadline = deadline
        self.in_head = True
        self.connected = self.sent = False
        self.received = 0

    def remaining(self) -> float:
        """Seconds until the deadline. Raises TimeoutError when it has passed."""
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the call's deadline has passed")
        return remaining

    def met_a_stale_connection(self) -> bool:
        """Whether a kept connection was used and no byte of an answer has come."""
        return self.sent and not self.connected and not self.received


def resolve(host: str, port: int, seconds: float) -> list[tuple[Any, ...]]:
    """The TCP addresses of `host`, as getaddrinfo gives them.

    Raises OSError if there are none or no thread can be started, TimeoutError after `seconds`: the
    system's own limits may be a minute. The abandoned look-up goes on in a separate thread.
    """
    found: SimpleQueue[list[tuple[Any, ...]] | Exception] = SimpleQueue()

    def look_up() -> None:
        try:
            found.put(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.put(error)

    try:
        threading.Thread(target=look_up, name="dns", daemon=True).start()
    except RuntimeError as error:
        raise OSError(f"no look-up of {host}: {error}") from error
    try:
        answer = found.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer from DNS for {host} in {seconds:.1f} s") from None
    if isinstance(answer, UnicodeError):
        raise OSError(f"{host!r} is not a valid host name: {answer}") from answer
    if isinstance(answer, Exception):
        raise answer
    return answer


class _Deadline:
    """Bounds every wait of a socket by the time left for the exchange."""

    exchange: Exchange

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(self.exchange.remaining())  # type: ignore[attr-defined]
        size: int = super().recv_into(*args, **kwargs)  # type: ignore[misc]
        self.exchange.received += size
        if self.exchange.received > MAX_ANSWER:
            raise ConnectionAbortedError(f"an answer larger than {MAX_ANSWER} bytes")
        if not size and self.exchange.in_head:
            # http.client takes the end of the stream for the end of the headers.
            raise ConnectionResetError("the answer broke off in its head")
        return size

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.exchange.sent = True
        self.settimeout(self.exchange.remaining())  # type: ignore[attr-defined]
        super().sendall(*args, **kwargs)  # type: ignore[misc]


class _Socket(_Deadline, socket.socket):
    pass


def _open(address: tuple[Any, ...], exchange: Exchange, left: int) -> _Socket:
    """Connect to the first of `left` addresses, in its share of the time. Raises OSError."""
    family, kind, protocol, _, place = address
    connection = _Socket(family, kind, protocol)
    try:
        connection.exchange = exchange
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(exchange.remaining() / left)
        connection.connect(place)
    except BaseException:
        connection.close()
        raise
    return connection


class TLSSocket(_Deadline, ssl.SSLSocket):
    """For `sslsocket_class` of an SSLContext."""

    def send(self, *args: Any, **kwargs: Any) -> int:
        # sendall calls it for each part.
        self.settimeout(self.exchange.remaining())
        return super().send(*args, **kwargs)

    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(self.exchange.remaining())
        super().do_handshake(block)


class _Response(HTTPResponse):
    """The final answer: http.client alone takes 103 Early Hints for it.

    The final one would then be read as the answer to the connection's next request.
    """

    def begin(self) -> None:
        super().begin()
        while self.status < 200:
            self.headers = None  # type: ignore[assignment]  # http.client's mark of an unread head
            super().begin()


class Connection(HTTPConnection):
    """A kept connection, for one `exchange` at a time. It connects and reconnects by itself.

    The sockets of `tls` must be TLSSockets; None: plain HTTP. Every method may raise OSError.
    """

    response_class = _Response

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        super().__init__(host, port)
        self._tls = tls
        self.exchange = Exchange()

    def connect(self) -> None:
        """Look the name up and connect to the first of its addresses that answers."""
        self.exchange.connected = True
        addresses = resolve(self.host, self.port, self.exchange.remaining())
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                connection = _open(address, self.exchange, left)
                break
            except OSError:
                if left == 1:
                    raise
        self.sock = connection
        if self._tls is not None:
            # Certificates name hosts without the dot that keeps search domains out of a look-up.
            secure = cast(
                "TLSSocket",
                self._tls.wrap_socket(
                    connection,
                    server_hostname=self.host.rstrip("."),
                    do_handshake_on_connect=False,
                ),
            )
            secure.exchange = self.exchange
            self.sock = secure
            secure.do_handshake()
