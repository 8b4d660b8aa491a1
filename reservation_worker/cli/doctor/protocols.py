"""How far a neighbour is reached: DNS, TCP, and the call that identifies it.

That call is tried, too, where the other neighbour should be.
"""

import json
import socket
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from reservation_worker.cli import worker_http
from reservation_worker.clients.deadline import resolve
from reservation_worker.clients.http_answer import Answer
from reservation_worker.clients.inventory import CHANNEL_OPTIONS
from reservation_worker.errors import OperationError

DNS_LIMIT = 5.0
TCP_LIMIT = 3.0
CALL_LIMIT = 5.0
"""How long a call may take, in seconds, where CALL_TIMEOUT is not shorter."""
_GUESS_LIMIT = 2.0
"""The same for a call by the protocol that is not expected."""

PROBE_ID = "doctor-probe"
"""A reservation that can't exist, because reservation-api makes no id like it."""

NO_HEALTH_SERVICE = (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.NOT_FOUND)
"""A gRPC server's answer to check_health where it has no health service."""

SWAPPED = "are INVENTORY_GRPC_ADDR and RESERVATION_API_BASE swapped?"


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


def check_health(address: str, tls: bool, timeout: float) -> int:
    """The serving status by grpc.health.v1. Raises grpc.RpcError."""
    channel = (
        grpc.secure_channel(address, grpc.ssl_channel_credentials(), CHANNEL_OPTIONS)
        if tls
        else grpc.insecure_channel(address, CHANNEL_OPTIONS)
    )
    with channel:
        stub = health_pb2_grpc.HealthStub(channel)
        status: int = stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout).status
        return status


def get_probe(base: str, timeout: float, headers: dict[str, str] | None = None) -> Answer:
    """reservation-api's answer for PROBE_ID. Raises OperationError."""
    return worker_http.get(f"{base}/internal/reservations/{PROBE_ID}", timeout, headers)


def body_and_code(answer: Answer) -> tuple[Any, str | None]:
    """The JSON of an answer (None: it is none), and the code of its error."""
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None, None
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return body, code if isinstance(code, str) else None


def is_missing_reservation(answer: Answer) -> bool:
    """Whether only reservation-api would answer like this."""
    return (answer.status, body_and_code(answer)[1]) == (404, "RESERVATION_NOT_FOUND")


def http_answer(address: str) -> Answer | None:
    """What `address` answers to get_probe by plain HTTP; None: it does not speak it."""
    try:
        return get_probe(f"http://{address}", _GUESS_LIMIT)
    except OperationError:
        return None


def speaks_grpc(address: str) -> bool:
    """Whether a gRPC server, with or without a health service, answers at `address`."""
    try:
        check_health(address, tls=False, timeout=_GUESS_LIMIT)
    except grpc.RpcError as error:
        return error.code() in NO_HEALTH_SERVICE and not is_plain_http(error)
    return True


def is_plain_http(error: grpc.RpcError) -> bool:
    """Whether an HTTP server without gRPC answered; gRPC makes a code of an HTTP/2 status.

    A 404 becomes UNIMPLEMENTED, which a gRPC server without a health service answers, too.
    """
    details = error.details() or ""
    return "Received http2 header with status" in details or "Failed parsing HTTP/2" in details
