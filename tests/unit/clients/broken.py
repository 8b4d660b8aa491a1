"""A neighbour that breaks its connection or sends nothing, and the limits of such calls."""

import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from reservation_worker.clients.ports import StatusChange
from tests.unit.clients.http_neighbour import (
    TRANSIENT,
    Answer,
    Request,
    raises,
)

SOON = 0.3
"""A short deadline, in seconds, of a call that is bound to reach it."""
HUGE = StatusChange("rsv_1", "CANCELLED", error_code="x" * 16_000_000)
"""Larger than the kernel's buffers on both sides of a connection."""
GENEROUS = 10.0
"""How late such a call may end on a slow machine; the alternative is never."""


def reset(request: Request) -> None:
    linger_no_time = struct.pack("ii", 1, 0)
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_no_time)
    hang_up(request)


def hang_up(request: Request) -> None:
    request.close_connection = True
    request.rfile.close()
    request.connection.close()


def cut_off_after(sent: bytes) -> Answer:
    """Sends this, and closes the connection."""

    def answer(request: Request) -> None:
        request.wfile.write(sent)
        hang_up(request)

    return answer


HALF_AN_ANSWER = {
    "half a status line": cut_off_after(b"HTTP/1.1 200"),
    "half a head": cut_off_after(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "half a body": cut_off_after(b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"status":'),
}


def silence(request: Request) -> None:
    request.server.closing.wait(GENEROUS)


def assert_ends_soon(call: Callable[[], Any]) -> None:
    started = time.monotonic()
    raises(TRANSIENT, call)
    assert time.monotonic() - started < GENEROUS
