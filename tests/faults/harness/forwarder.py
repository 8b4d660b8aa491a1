"""A TCP forwarder before a neighbour; it can black-hole connections while new ones work."""

import socket
import threading
from contextlib import suppress
from typing import Self


class Forwarder:
    """Listens on a loopback port and forwards to `target` (host:port)."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._server = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        # A pair of sockets, and whether it has fallen silent.
        self._pairs: dict[tuple[socket.socket, socket.socket], threading.Event] = {}

    @property
    def address(self) -> str:
        """host:port to connect to."""
        return f"127.0.0.1:{self._server.getsockname()[1]}"

    def black_hole(self) -> int:
        """The connections that exist now carry nothing any more; returns how many they are."""
        with self._lock:
            for silent in self._pairs.values():
                silent.set()
            return len(self._pairs)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        # A thread may sit in accept() or recv(): a shutdown wakes it, a close alone does not.
        with self._lock:
            sockets = [self._server, *(one for pair in self._pairs for one in pair)]
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target)
            except OSError:
                near.close()
                continue
            silent = threading.Event()
            with self._lock:
                self._pairs[near, far] = silent
            for source, sink in ((near, far), (far, near)):
                threading.Thread(
                    target=self._pump, args=(source, sink, silent), daemon=True
                ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, silent: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                # What a silent pair is sent is taken and lost, as on a path that drops packets.
                if not silent.is_set():
                    sink.sendall(data)
        if not silent.is_set():
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
