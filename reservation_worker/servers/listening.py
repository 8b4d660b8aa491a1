"""Listening sockets, and one sentence about all the ports that can't be had."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from reservation_worker.errors import OperationError


@dataclass(slots=True)
class Ports:
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
