"""Networks that misbehave: connections that go silent, and addresses that do not answer."""

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """Forwards TCP to a local port; `black_hole` makes the connections of now go silent for good.

    They stay open, and what is sent on them is swallowed: so it looks when a load balancer has
    forgotten them, or a node has died. New connections work.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self._silent = threading.Event()  # of the connections made from now on
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0

    def black_hole(self) -> None:
        self._silent.set()
        self._silent = threading.Event()

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the end of the test
            while True:
                near, _ = self._listener.accept()
                self.connections += 1
                far = socket.create_connection(self._target)
                self._open += near, far
                threading.Thread(
                    target=self._forward, args=(near, far, self._silent), daemon=True
                ).start()

    @staticmethod
    def _forward(near: socket.socket, far: socket.socket, silent: threading.Event) -> None:
        with suppress(OSError, ValueError), selectors.DefaultSelector() as ready:
            ready.register(near, selectors.EVENT_READ, far)
            ready.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in ready.select():
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if silent.is_set():
                        if not data:
                            return
                        continue
                    if not data:
                        key.data.shutdown(socket.SHUT_WR)
                        ready.unregister(key.fileobj)
                    else:
                        key.data.sendall(data)


@contextmanager
def full_backlog(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """The port of a listener that takes no more connections: SYNs to it are dropped."""
    with socket.create_server((host, port), backlog=0) as listener:
        place = listener.getsockname()
        waiting = []
        for _ in range(4):
            caller = socket.socket()
            caller.setblocking(False)
            caller.connect_ex(place)
            waiting.append(caller)
        yield place[1]
        for caller in waiting:
            caller.close()
