"""A WSGI app on waitress in a thread; its listener can close and open again."""

import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.server import create_server

from reservation_worker.simulator.processes.ports import candidates

HOST = "127.0.0.1"


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

    def __init__(self, app: Flask, port: int = 0, threads: int = 64, host: str = HOST) -> None:
        self._host = host
        self._app = app
        self._threads = threads
        self.port = port
        self._map: dict[int, Any] = {}
        self._server: Any = None
        self._loop: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether the port is open."""
        return self._server is not None

    def start(self) -> None:
        """Open the port and serve; a second start does nothing."""
        if self._server is not None:
            return
        self._server = self._bind()
        self.port = int(self._server.effective_port)
        self._loop = threading.Thread(target=self._server.run, name="http", daemon=True)
        self._loop.start()

    def stop(self, closed: Callable[[], None] = lambda: None) -> None:
        """Close the port and every connection; safe before a start and twice.

        `closed` is called when no answer can go out any more, to end what still runs.
        """
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
        closed()
        server.task_dispatcher.shutdown()
        server.trigger.pull_trigger(lambda: wasyncore.close_all(self._map, ignore_all=True))
        loop.join(5)

    def _bind(self) -> Any:
        for port in [self.port] if self.port else candidates():
            self._map = {}
            try:
                return create_server(
                    self._app,
                    map=self._map,
                    host=self._host,
                    port=port,
                    threads=self._threads,
                    connection_limit=1000,
                    asyncore_use_poll=True,
                    # Reading ahead is how waitress notices that a client has hung up.
                    channel_request_lookahead=1,
                    clear_untrusted_proxy_headers=True,
                    ident=None,
                )
            except OSError:
                # What waitress had opened before it could not bind.
                wasyncore.close_all(self._map, ignore_all=True)
                if port == self.port:
                    raise
        raise OSError("no free port")
