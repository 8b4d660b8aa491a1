"""A cheap HTTP/1.1 server: kept-alive connections and bodies with a Content-Length, no more."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

HOST = "127.0.0.1"
_REASONS = {200: b"OK", 400: b"Bad Request", 404: b"Not Found"}


class Request:
    """One request; `reply` may be called after the handler has returned."""

    __slots__ = ("_head", "_transport", "body", "method", "path")

    def __init__(self, transport: asyncio.Transport, head: bytes, body: bytes) -> None:
        self._transport = transport
        self._head = head
        self.body = body
        method, path, _ = head.split(b" ", 2)
        self.method, self.path = method.decode(), path.decode()

    @property
    def gone(self) -> bool:
        """Whether the caller has hung up."""
        return self._transport.is_closing()

    def header(self, name: bytes) -> bytes:
        """A header's value, by its name in lower case; empty if it is not there."""
        return _header(self._head, name)

    def json(self) -> Any:
        """The body, read as JSON; an empty one is an empty object."""
        return json.loads(self.body or b"{}")

    def reply(self, document: Any, status: int = 200, kind: bytes = b"application/json") -> None:
        """Answer with a JSON document."""
        body = json.dumps(document, separators=(",", ":")).encode()
        self._transport.write(
            b"HTTP/1.1 %d %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (status, _REASONS.get(status, b"-"), kind, len(body), body)
        )


def _header(head: bytes, name: bytes) -> bytes:
    _, found, rest = head.lower().partition(b"\r\n" + name + b":")
    if not found:
        return b""
    start = len(head) - len(rest)
    return head[start:].partition(b"\r\n")[0].strip()


class _Connection(asyncio.Protocol):
    def __init__(self, handle: Callable[[Request], None]) -> None:
        self._handle = handle
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            length = int(_header(head, b"content-length") or 0)
            if not found or len(rest) < length:
                return
            self._buffer = rest[length:]
            self._handle(Request(self._transport, head, rest[:length]))


async def listen(handle: Callable[[Request], None]) -> int:
    """Serve on a free loopback port, which is returned, for as long as the loop runs."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(handle), HOST, 0)
    port: int = server.sockets[0].getsockname()[1]
    return port
