"""Are both neighbours there, and are they who we take them for?"""

import json
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from reservation_worker.cli import worker_http
from reservation_worker.cli.doctor.network import Unreachable, reach, split
from reservation_worker.cli.doctor.result import Check, CheckResult, Known, failure, ok, warning
from reservation_worker.clients.http import Answer
from reservation_worker.clients.inventory import CHANNEL_OPTIONS
from reservation_worker.clients.meaning import Meaning
from reservation_worker.clients.reservation import classify
from reservation_worker.config.token import TokenFile, bearer
from reservation_worker.errors import OperationError

CALL_LIMIT = 5.0
"""How long a call may take, in seconds, where CALL_TIMEOUT is not shorter."""

GRPC, REST = "inventory-svc", "reservation-api"
BUSY = (408, 425, 429)
"""It is the API, and has no time just now."""
NOBODY = "doctor-probe"
"""A reservation that can't exist: ids are made by reservation-api, and none is made like this."""

_Code = grpc.StatusCode


def inventory(known: Known) -> list[CheckResult]:
    """DNS, TCP, and a health check by gRPC's own protocol, which a server need not have."""
    address, timeout = known["inventory_grpc_addr"], _timeout(known)
    tls = known["inventory_grpc_tls"]
    try:
        place = reach(*split(address))
    except Unreachable as error:
        return [failure(GRPC, f"failed to connect to {address}: {error}", error.advice)]
    channel = (
        grpc.secure_channel(address, grpc.ssl_channel_credentials(), CHANNEL_OPTIONS)
        if tls
        else grpc.insecure_channel(address, CHANNEL_OPTIONS)
    )
    began = time.monotonic()
    with channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout)
        except grpc.RpcError as error:
            return [_refused(error, address, timeout)]
    took = f"{(time.monotonic() - began) * 1000:.0f} ms"
    if answer.status == health_pb2.HealthCheckResponse.SERVING:
        return [ok(GRPC, f"{address} ({place}) is SERVING, asked in {took}")]
    name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return [failure(GRPC, f"{address} ({place}) says {name}", "look at its own log and health")]


def _refused(error: grpc.RpcError, address: str, timeout: float) -> CheckResult:
    code, words = error.code(), (error.details() or "")[:200]
    if code in (_Code.UNIMPLEMENTED, _Code.NOT_FOUND):
        return ok(GRPC, f"{address} speaks gRPC (it has no health service)")
    said = f"{address} says {code.name}: {words}"
    if code is _Code.DEADLINE_EXCEEDED:
        return failure(
            GRPC,
            f"context deadline exceeded: {address} takes TCP connections, but no gRPC came back"
            f" in {timeout:g} s",
            "does something else listen there, does it want TLS (INVENTORY_GRPC_TLS), is it stuck?",
        )
    if code is _Code.UNAVAILABLE:
        return failure(
            GRPC,
            said,
            "does it speak gRPC, and TLS as INVENTORY_GRPC_TLS says? Is its port the gRPC one? Is"
            " its certificate's CA in SSL_CERT_FILE?",
        )
    if code in (_Code.UNAUTHENTICATED, _Code.PERMISSION_DENIED):
        return failure(GRPC, said, "a gateway or mesh wants credentials: let the worker through")
    return warning(GRPC, said, "it answers by gRPC, but not as it should: look at its log")


def reservation_api(known: Known) -> list[CheckResult]:
    """DNS, TCP, and a GET of a reservation that can't exist (docs/contract.md#reservation-api)."""
    base, timeout = known["reservation_api_base"], _timeout(known)
    try:
        reach(*split(base, 443 if base.lower().startswith("https:") else 80))
    except Unreachable as error:
        return [failure(REST, f"failed to connect to {base}: {error}", error.advice)]
    token_file = known.get("reservation_api_token_file")
    headers = bearer(TokenFile(token_file).current()) if token_file else {}
    try:
        answer = worker_http.get(f"{base}/internal/reservations/{NOBODY}", timeout, headers)
    except OperationError as error:
        advice = (
            "it takes connections, but does not answer: is it stuck, is it HTTP, is it TLS, and is"
            " its certificate's CA in SSL_CERT_FILE?"
        )
        return [failure(REST, str(error), advice)]
    if answer.status == 401:
        return [_unauthorized(base, answer.challenge[:80], token_file)]
    return [_check_answer(base, answer)]


def _unauthorized(base: str, challenge: str, token_file: str | None) -> CheckResult:
    said = f"{base} answers 401 (WWW-Authenticate: {challenge or 'not given'})"
    if token_file:
        return failure(
            REST,
            f"{said}: it refuses the token in {token_file}",
            "has the token expired, is it made for this audience, does the API trust its issuer?"
            " RESERVATION_API_TOKEN_FILE names the file",
        )
    if challenge.lower().startswith("bearer"):
        return failure(
            REST,
            f"{said}: it wants a bearer token, and none is sent",
            "name a file with one by RESERVATION_API_TOKEN_FILE, such as a projected"
            " service-account token",
        )
    return failure(
        REST,
        f"{said}: it wants credentials that the worker does not have",
        "let the worker through at the gateway; it can send a bearer token only"
        " (RESERVATION_API_TOKEN_FILE)",
    )


def _check_answer(base: str, answer: Answer) -> CheckResult:
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None
    error = body.get("error") if isinstance(body, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    meaning = classify(answer.status, code if isinstance(code, str) else None)
    is_api = isinstance(body, dict)
    if is_api and (
        meaning is Meaning.DONE or (answer.status, code) == (404, "RESERVATION_NOT_FOUND")
    ):
        return ok(REST, f"{base} answers {answer.status} {code or ''}".rstrip())
    shown = json.dumps(code or answer.body[:80].decode("utf-8", "replace"))
    said = f"{base} answers {answer.status} {shown} to a GET of {NOBODY}"
    if answer.status == 404 and is_api:
        return warning(
            REST,
            f"{said}: no RESERVATION_NOT_FOUND",
            "is it reservation-api, and is its path right? A PATCH that is answered so counts as"
            " an outage",
        )
    if meaning in (Meaning.TRANSIENT, Meaning.DONE) and answer.status not in BUSY:
        return failure(
            REST,
            said,
            "a misrouted or misconfigured deploy: check RESERVATION_API_BASE, the gateway before"
            " it and what that lets through",
        )
    return warning(REST, said, "ask again; if it stays so, look at its log")


def _timeout(known: Known) -> float:
    given: float = known.get("call_timeout", CALL_LIMIT)
    return min(CALL_LIMIT, given)


INVENTORY = Check(GRPC, ("inventory_grpc_addr", "inventory_grpc_tls"), inventory)
RESERVATION_API = Check(
    REST, ("reservation_api_base", "reservation_api_token_file"), reservation_api
)
