"""Connections with one deadline for the whole call: DNS, connecting, sending and reading.

A socket's own timeout bounds each wait only: a server that sends a byte now and then would hold
the thread for ever.
"""

import socket
import ssl
import threading
import time
from queue import Empty, SimpleQueue
from typing import Any

from urllib3.util import wait_for_read

READ_SIZE = 16 * 1024
"""The most bytes of one read: a TLS record."""


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


class Connection:
    """A kept connection, for one call at a time, which `begin` begins.

    `tls` None: plain TCP. Every method may raise OSError, at the call's deadline TimeoutError.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        self._host, self._port, self._tls = host, port, tls
        self._socket: socket.socket | None = None
        self._kept = False
        self._deadline = 0.0
        self._received = False

    def begin(self, deadline: float) -> None:
        """Begin a call that ends at `deadline`, by the monotonic clock, connecting if need be."""
        self._deadline = deadline
        self._received = False
        self._kept = self._socket is not None
        if not self._kept:
            self._connect()

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        left = memoryview(data)
        while left:
            left = left[self._bounded().send(left) :]

    def receive(self) -> bytes:
        """The next bytes of the answer; empty at the end of the stream."""
        data = self._bounded().recv(READ_SIZE)
        self._received |= bool(data)
        return data

    def met_a_stale_connection(self) -> bool:
        """Whether a kept connection was used and no byte of an answer has come."""
        return self._kept and not self._received

    def readable(self) -> bool:
        """Whether something can be read, which may be the end of the stream."""
        return self._socket is not None and wait_for_read(self._socket, 0.0)

    def close(self) -> None:
        """Close it; the next call connects again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _bounded(self) -> socket.socket:
        """The socket, whose next operation ends at the deadline."""
        if self._socket is None:
            raise ConnectionError("not connected")
        self._socket.settimeout(self._remaining())
        return self._socket

    def _remaining(self) -> float:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the call's deadline has passed")
        return remaining

    def _connect(self) -> None:
        """Look the name up and connect to the first of its addresses that answers."""
        addresses = resolve(self._host, self._port, self._remaining())
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                self._open(address, left)
                break
            except OSError:
                self.close()
                if left == 1:
                    raise
        if self._tls is not None:
            # Certificates name hosts without the dot that keeps search domains out of a look-up.
            secure = self._tls.wrap_socket(
                self._bounded(),
                server_hostname=self._host.rstrip("."),
                do_handshake_on_connect=False,
            )
            self._socket = secure
            secure.do_handshake()  # with the timeout of the socket that it wraps

    def _open(self, address: tuple[Any, ...], left: int) -> None:
        """Connect to the first of `left` addresses, in its share of the time."""
        family, kind, protocol, _, place = address
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(self._remaining() / left)
        self._socket.connect(place)
