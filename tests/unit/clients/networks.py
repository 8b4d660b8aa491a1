"""Networks that misbehave: connections that go silent, and addresses that do not answer."""

import selectors
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """Forwards TCP to a local port; `black_hole` silences the present connections for good.

    They stay open, and bytes sent on them are swallowed, as when a load balancer has forgotten them
    or a node has died. New connections work.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=50)
        self._silent = threading.Event()  # of the connections made from now on
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.hang_ups = 0
        """The number of connections that the client has closed."""

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

    def _forward(self, near: socket.socket, far: socket.socket, silent: threading.Event) -> None:
        with suppress(OSError, ValueError), selectors.DefaultSelector() as ready:
            ready.register(near, selectors.EVENT_READ, far)
            ready.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in ready.select():
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    if not data:
                        self.hang_ups += key.fileobj is near
                        key.data.shutdown(socket.SHUT_WR)
                        return
                    if not silent.is_set():
                        key.data.sendall(data)


@contextmanager
def full_backlog(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """The port of a listener that accepts no more connections: SYNs to it are dropped."""
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


class NameServer:
    """DNS over UDP: every name has the A record `address`, to be kept for five seconds."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> "NameServer":
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self._socket.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                query, asker = self._socket.recvfrom(4096)
                self._socket.sendto(self._answer(query), asker)

    def _answer(self, query: bytes) -> bytes:
        end = query.index(b"\0", 12) + 5  # name, type, class
        is_a = query[end - 4 : end - 2] == b"\0\1"
        head = query[:2] + struct.pack("!5H", 0x8180, 1, is_a, 0, 0)
        record = struct.pack("!3HIH", 0xC00C, 1, 1, 5, 4) + socket.inet_aton(self.address)
        return head + query[12:end] + (record if is_a else b"")
