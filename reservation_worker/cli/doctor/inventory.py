"""inventory-svc: reachable, and by gRPC."""

import time

import grpc
from grpc_health.v1 import health_pb2

from reservation_worker.cli.doctor import protocols
from reservation_worker.cli.doctor.protocols import Unreachable, reach, split
from reservation_worker.cli.doctor.result import CheckResult, Known, failure, ok, warning
from reservation_worker.clients.http_answer import Answer

NAME = "inventory-svc"

_Code = grpc.StatusCode
_Serving = health_pb2.HealthCheckResponse


def inventory(known: Known) -> list[CheckResult]:
    """DNS, TCP, and grpc.health.v1, which a server need not implement."""
    address, tls = known["inventory_grpc_addr"], known["inventory_grpc_tls"]
    timeout = min(protocols.CALL_LIMIT, known.get("call_timeout", protocols.CALL_LIMIT))
    try:
        place = reach(*split(address))
    except Unreachable as error:
        return [failure(NAME, f"failed to connect to {address}: {error}", error.advice)]
    began = time.monotonic()
    try:
        status = protocols.check_health(address, tls, timeout)
    except grpc.RpcError as error:
        return [_refused(error, address, timeout)]
    took = f"{(time.monotonic() - began) * 1000:.0f} ms"
    if status == _Serving.SERVING:
        return [ok(NAME, f"{address} ({place}) is SERVING, answered in {took}")]
    name = _Serving.ServingStatus.Name(status)
    return [failure(NAME, f"{address} ({place}) answers {name}", "look at its log")]


def _speaks_http(address: str, answer: Answer | None) -> CheckResult:
    if answer and protocols.is_missing_reservation(answer):
        return failure(NAME, f"{address} is reservation-api, over HTTP", protocols.SWAPPED)
    return failure(
        NAME,
        f"{address} speaks plain HTTP, not gRPC",
        "name the gRPC port in INVENTORY_GRPC_ADDR; kubectl get service shows all ports",
    )


def _refused(error: grpc.RpcError, address: str, timeout: float) -> CheckResult:
    code, words = error.code(), (error.details() or "")[:200]
    plain_http = protocols.is_plain_http(error)
    if code in protocols.NO_HEALTH_SERVICE and not plain_http:
        return ok(NAME, f"{address} speaks gRPC (without a health service)")
    if plain_http or code in (_Code.UNAVAILABLE, _Code.DEADLINE_EXCEEDED):
        answer = protocols.http_answer(address)
        if answer or plain_http:
            return _speaks_http(address, answer)
    said = f"{address} answers {code.name}: {words}"
    # Whichever of the two limits is the first, the call's or the connection's.
    if code is _Code.DEADLINE_EXCEEDED or "timed out before receiving SETTINGS" in said:
        return failure(
            NAME,
            f"context deadline exceeded: {address} accepts TCP connections, but no gRPC came back"
            f" in {timeout:g} s",
            "does another program listen there, does it use TLS (INVENTORY_GRPC_TLS), is it stuck?",
        )
    if code is _Code.UNAVAILABLE:
        return failure(
            NAME,
            said,
            "does it speak gRPC, and TLS as INVENTORY_GRPC_TLS says? Is its port the gRPC one? Is"
            " its certificate's CA in SSL_CERT_FILE?",
        )
    if code in (_Code.UNAUTHENTICATED, _Code.PERMISSION_DENIED):
        return failure(NAME, said, "a gateway or mesh requires credentials: let the worker through")
    return warning(NAME, said, "it answers by gRPC, but with an error: look at its log")
