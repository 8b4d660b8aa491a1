"""Listening sockets, and one error for all the ports that can't be listened on."""

import errno
import ipaddress
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from reservation_worker.errors import OperationError

PAUSE = 0.1
"""The pause of a server without a free descriptor before it accepts again, in seconds."""


@dataclass(slots=True)
class ListenErrors:
    """Collects the failures of several servers, so that one error names all their variables."""

    taken: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @contextmanager
    def opening(self, server: str, host: str, port: int) -> Iterator[None]:
        """Within it an OSError ends the block and is kept; `server` is the variables' prefix."""
        try:
            yield
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                self.taken.append(f"{server}_PORT")
            self.problems.append(
                f"{server}_HOST {host} and {server}_PORT {port} can't be listened on: {error}"
            )

    def check(self) -> None:
        """Raises OperationError if a server could not be opened."""
        if not self.problems:
            return
        text = "; ".join(self.problems)
        if self.taken:
            names = " and ".join(self.taken)
            text += (
                f"; if another worker runs on this machine, set {names} to other ports"
                " (0: any free port)"
            )
        raise OperationError(text)


def local_url(host: str, port: int) -> str:
    """The URL at which a server that listens on `host` and `port` is reached from its machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"http://{host}:{port}"
    if address.is_unspecified:
        # Also for ::, which takes IPv4 too and is IPv4 alone where the machine has no IPv6.
        address = ipaddress.ip_address("127.0.0.1")
    shown = f"[{address}]" if address.version == 6 else str(address)
    return f"http://{shown}:{port}"


class Listener(socket.socket):
    """A listening socket that pauses for PAUSE when the process has no free descriptor.

    The client goes on waiting, so a server's loop would try again at once, for ever.
    """

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection. Raises OSError."""
        try:
            return super().accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                time.sleep(PAUSE)
            raise


def listen(host: str, port: int) -> socket.socket:
    """A TCP listener; on :: it takes IPv6 and IPv4, and IPv4 alone on a machine without IPv6.

    Raises OSError.
    """
    if host == "::":
        try:
            if socket.has_dualstack_ipv6():
                return socket.create_server(
                    (host, port), family=socket.AF_INET6, dualstack_ipv6=True
                )
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
        host = "0.0.0.0"  # noqa: S104 -- every address is asked for
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)
