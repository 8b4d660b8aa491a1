"""An HTTP proxy that refuses everything."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def refusing_proxy() -> Iterator[tuple[str, list[bytes]]]:
    """Its host:port, and the first bytes that each client sends to it."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    asked.append(client.recv(1000))
                    client.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", asked
        # Wakes the thread from its accept.
        listener.shutdown(socket.SHUT_RDWR)
