"""Names and connections, in bounded time."""

import socket
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

DNS_LIMIT = 5.0
TCP_LIMIT = 3.0


class Unreachable(Exception):
    """There is no connection; `advice` says what to look at."""

    def __init__(self, detail: str, advice: str) -> None:
        super().__init__(detail)
        self.advice = advice


def split(address: str, default_port: int = 443) -> tuple[str, int]:
    """Host and port of host:port, [ipv6]:port, or a URL."""
    netloc = address.rpartition("://")[2].partition("/")[0]
    host, colon, port = netloc.rpartition(":")
    if not colon or port.endswith("]"):
        return netloc.strip("[]"), default_port
    return host.strip("[]"), int(port)


def reach(host: str, port: int) -> str:
    """Resolve and connect; returns the address connected to. Raises Unreachable."""
    try:
        found = _within(DNS_LIMIT, lambda: socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
    except TimeoutError:
        raise Unreachable(
            f"DNS gave no answer for {host} in {DNS_LIMIT:g} s",
            "look at the name servers in /etc/resolv.conf and at the network policies",
        ) from None
    except (OSError, UnicodeError) as error:
        raise Unreachable(
            f"DNS does not know {host} ({error})",
            f"correct the name; in a pod: getent hosts {host}, and is its Service there?",
        ) from error
    for family, kind, protocol, _, place in found:
        try:
            with socket.socket(family, kind, protocol) as connection:
                connection.settimeout(TCP_LIMIT / len(found))
                connection.connect(place)
                return str(place[0])
        except OSError as error:
            last: OSError = error
    raise Unreachable(
        f"no TCP connection to {host}:{port} ({found[-1][4][0]}): {last}",
        "is it running, is the port right, has its Service endpoints, does a network policy"
        f" forbid it? From the pod: nc -vz {host} {port}",
    )


def _within(seconds: float, work: Callable[[], T]) -> T:
    """What `work` returns or raises. Raises TimeoutError after `seconds`."""
    result: SimpleQueue[tuple[Any, Exception | None]] = SimpleQueue()

    def do() -> None:
        try:
            result.put((work(), None))
        except Exception as error:
            result.put((None, error))

    threading.Thread(target=do, name="dns", daemon=True).start()
    try:
        value, error = result.get(timeout=seconds)
    except Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return value  # type: ignore[no-any-return]
