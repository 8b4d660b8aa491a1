"""Connections that end with their call: looking up the name, connecting, sending and reading
share one deadline, which is the calling thread's.

A socket's own timeout bounds each wait; a server that sends a byte now and then would hold the
thread for ever.
"""

import socket
import ssl
import threading
import time
from queue import Empty, SimpleQueue
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError


class Exchange(threading.local):
    """One request and its answer on the calling thread."""

    deadline = 0.0
    """In seconds of the monotonic clock."""
    in_head = True
    connected = False
    sent = False
    answered = False

    def begin(self) -> None:
        """Forget the exchange before, whose deadline may be this one's too."""
        self.in_head = True
        self.connected = self.sent = self.answered = False

    def remaining(self) -> float:
        """Seconds until the deadline. Raises TimeoutError when it is over."""
        remaining = self.deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the call's deadline is over")
        return remaining

    def met_a_stale_connection(self) -> bool:
        """Whether a kept connection was used and not one byte of an answer came."""
        return self.sent and not self.connected and not self.answered


exchange = Exchange()


def resolve(host: str, port: int, seconds: float) -> list[tuple[Any, ...]]:
    """The TCP addresses of `host`, as getaddrinfo gives them.

    Raises OSError if there are none, TimeoutError after `seconds`: the system's own limits may be
    a minute. The look-up that goes on then ends by itself, on a thread of its own.
    """
    found: SimpleQueue[list[tuple[Any, ...]] | Exception] = SimpleQueue()

    def look_up() -> None:
        try:
            found.put(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.put(error)

    threading.Thread(target=look_up, name="dns", daemon=True).start()
    try:
        answer = found.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer of DNS for {host} in {seconds:.1f} s") from None
    if isinstance(answer, UnicodeError):
        raise OSError(f"{host!r} is no host name: {answer}") from answer
    if isinstance(answer, Exception):
        raise answer
    return answer


class _Deadline:
    """Bounds every wait of a socket by what is left of the call."""

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(exchange.remaining())  # type: ignore[attr-defined]
        size: int = super().recv_into(*args, **kwargs)  # type: ignore[misc]
        if size:
            exchange.answered = True
        elif exchange.in_head:
            # http.client takes the end of the stream for the end of the headers.
            raise ConnectionResetError("the answer broke off in its head")
        return size

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        exchange.sent = True
        self.settimeout(exchange.remaining())  # type: ignore[attr-defined]
        super().sendall(*args, **kwargs)  # type: ignore[misc]


class _DeadlineSocket(_Deadline, socket.socket):
    pass


class DeadlineTLSSocket(_Deadline, ssl.SSLSocket):
    """For `sslsocket_class` of an SSLContext."""

    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(exchange.remaining())
        super().do_handshake(block)


class _Connect:
    """Connects within the deadline; urllib3's own gives each address the whole time, and the
    look-up of the name as much as it likes."""

    def _new_conn(self: Any) -> socket.socket:
        exchange.connected = True
        try:
            addresses = resolve(self._dns_host, self.port, exchange.remaining())
            for left, (family, kind, protocol, _, place) in zip(
                range(len(addresses), 0, -1), addresses, strict=True
            ):
                connection = _DeadlineSocket(family, kind, protocol)
                try:
                    for option in self.socket_options or ():
                        connection.setsockopt(*option)
                    connection.settimeout(exchange.remaining() / left)
                    connection.connect(place)
                    return connection
                except OSError as error:
                    connection.close()
                    last = error
            raise last
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"no connection to {self.host}: {error}") from error
        except OSError as error:
            raise NewConnectionError(self, f"no connection: {error}") from error


class _Connection(_Connect, HTTPConnection):
    pass


class _TLSConnection(_Connect, HTTPSConnection):
    pass


class DeadlinePool(HTTPConnectionPool):
    """urllib3's pool, over http."""

    ConnectionCls = _Connection


class DeadlineTLSPool(HTTPSConnectionPool):
    """urllib3's pool, over https; its `ssl_context` is to make DeadlineTLSSockets."""

    ConnectionCls = _TLSConnection
