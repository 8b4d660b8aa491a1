"""A WSGI app on waitress in a thread; its listener can close and open again."""

import socket
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.server import create_server

from reservation_worker.simulator.processes.ports import LOOPBACK, free_port

_THREADS = 64


def reset_connection(environ: Mapping[str, Any]) -> None:
    """Answer this request with RST."""
    channel = environ["waitress.client_disconnected"].__self__
    channel.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    shut = threading.Event()

    def close() -> None:
        with suppress(OSError):
            channel.handle_close()
        shut.set()

    channel.server.trigger.pull_trigger(close)
    shut.wait(5)


class HttpServer:
    """Serves on `host`. A port of 0 is chosen at the first start and kept afterwards."""

    def __init__(self, app: Flask, port: int = 0, host: str = LOOPBACK) -> None:
        self._host = host
        self._app = app
        self.port = port
        self._map: dict[int, Any] = {}
        self._server: Any = None
        self._loop: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether the port is open."""
        return self._server is not None

    def start(self) -> None:
        """Open the port and serve; a second start does nothing. Raises OSError."""
        if self._server is not None:
            return
        self.port = self.port or free_port()
        self._map = {}
        self._server = create_server(
            self._app,
            map=self._map,
            host=self._host,
            port=self.port,
            threads=_THREADS,
            connection_limit=1000,
            asyncore_use_poll=True,
            # Reading ahead is how waitress notices that a client has hung up.
            channel_request_lookahead=1,
            clear_untrusted_proxy_headers=True,
            ident=None,
        )
        self._loop = threading.Thread(target=self._server.run, name="http", daemon=True)
        self._loop.start()

    def stop(self) -> None:
        """Close the port and every connection; safe before a start and twice."""
        server, loop = self._server, self._loop
        if server is None or loop is None:
            return
        self._server = None
        shut = threading.Event()

        def close_sockets() -> None:
            # All but the trigger: the workers pull it when they finish, and once it is closed
            # they would write to whatever has its file descriptor by then.
            # (The server's own close() closes the trigger, the plain dispatcher's does not.)
            wasyncore.dispatcher.close(server)
            for channel in list(server.active_channels.values()):
                with suppress(OSError):
                    channel.close()
            shut.set()

        server.trigger.pull_trigger(close_sockets)
        shut.wait(5)
        server.task_dispatcher.shutdown()
        server.trigger.pull_trigger(lambda: wasyncore.close_all(self._map, ignore_all=True))
        loop.join(5)
