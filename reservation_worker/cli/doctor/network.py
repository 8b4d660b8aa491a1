"""DNS look-ups and TCP connections with time limits."""

import socket

from reservation_worker.clients.deadline import resolve

DNS_LIMIT = 5.0
TCP_LIMIT = 3.0


class Unreachable(Exception):
    """No connection could be made; `advice` names the likely causes."""

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
        found = resolve(host, port, DNS_LIMIT)
    except TimeoutError:
        raise Unreachable(
            f"DNS gave no answer for {host} in {DNS_LIMIT:g} s",
            "look at the name servers in /etc/resolv.conf and at the network policies",
        ) from None
    except OSError as error:
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
