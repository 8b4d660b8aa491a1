"""Listening sockets, and the error for a port that can't be listened on."""

import errno
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from reservation_worker.errors import OperationError


@contextmanager
def listening(server: str, host: str, port: int) -> Iterator[None]:
    """Turn an OSError into an OperationError that names the variables of `server`."""
    try:
        yield
    except OSError as error:
        raise OperationError(
            f"{server}_HOST {host} and {server}_PORT {port} can't be listened on: {error}"
        ) from error


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
        host = "0.0.0.0"  # noqa: S104 -- :: asks for every address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)
