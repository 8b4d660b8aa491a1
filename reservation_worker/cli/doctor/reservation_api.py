"""reservation-api: reachable, and open to the worker."""

import json

from reservation_worker.cli.doctor import protocols
from reservation_worker.cli.doctor.protocols import Unreachable, reach, split
from reservation_worker.cli.doctor.result import CheckResult, Known, failure, ok, warning
from reservation_worker.clients.http_answer import Answer
from reservation_worker.clients.meaning import Meaning
from reservation_worker.clients.reservation import classify
from reservation_worker.config.token import TokenFile, bearer
from reservation_worker.errors import OperationError

NAME = "reservation-api"
BUSY = (408, 425, 429)
"""Statuses by which the API asks for a later try."""


def reservation_api(known: Known) -> list[CheckResult]:
    """DNS, TCP, and a GET of a reservation that can't exist (docs/contract.md#reservation-api)."""
    base = known["reservation_api_base"]
    timeout = min(protocols.CALL_LIMIT, known.get("call_timeout", protocols.CALL_LIMIT))
    host, port = split(base, 443 if base.lower().startswith("https:") else 80)
    try:
        reach(host, port)
    except Unreachable as error:
        return [failure(NAME, f"failed to connect to {base}: {error}", error.advice)]
    token_file = known.get("reservation_api_token_file")
    headers = bearer(TokenFile(token_file).current()) if token_file else {}
    try:
        answer = protocols.get_probe(base, timeout, headers)
    except OperationError as error:
        if protocols.speaks_grpc(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"):
            return [failure(NAME, f"{base} speaks gRPC, not HTTP", protocols.SWAPPED)]
        advice = (
            "it accepts connections, but does not answer: is it stuck, is it HTTP, is it TLS, and"
            " is its certificate's CA in SSL_CERT_FILE?"
        )
        return [failure(NAME, str(error), advice)]
    if answer.status == 401:
        return [_unauthorized(base, answer.challenge[:80], token_file)]
    return [_check_answer(base, answer)]


def _unauthorized(base: str, challenge: str, token_file: str | None) -> CheckResult:
    said = f"{base} answers 401 (WWW-Authenticate: {challenge or 'not given'})"
    if token_file:
        return failure(
            NAME,
            f"{said}: it refuses the token in {token_file}",
            "has the token expired, is this its audience, does the API trust its issuer?"
            " RESERVATION_API_TOKEN_FILE names the file",
        )
    if challenge.lower().startswith("bearer"):
        return failure(
            NAME,
            f"{said}: it requires a bearer token, and none is sent",
            "set RESERVATION_API_TOKEN_FILE to a file with one, such as a projected"
            " service-account token",
        )
    return failure(
        NAME,
        f"{said}: it requires credentials that the worker does not have",
        "let the worker through at the gateway; it can send a bearer token only"
        " (RESERVATION_API_TOKEN_FILE)",
    )


def _check_answer(base: str, answer: Answer) -> CheckResult:
    body, code = protocols.body_and_code(answer)
    meaning = classify(answer.status, code)
    is_api = isinstance(body, dict)
    if is_api and (meaning is Meaning.DONE or protocols.is_missing_reservation(answer)):
        return ok(NAME, f"{base} answers {answer.status} {code or ''}".rstrip())
    shown = json.dumps(code or answer.body[:80].decode("utf-8", "replace"))
    said = f"{base} answers {answer.status} {shown} to a GET of {protocols.PROBE_ID}"
    if answer.status == 404 and is_api:
        return warning(
            NAME,
            f"{said}: no RESERVATION_NOT_FOUND",
            "is it reservation-api, and is its path right? Such an answer to a PATCH counts as an"
            " outage",
        )
    if meaning in (Meaning.TRANSIENT, Meaning.DONE) and answer.status not in BUSY:
        return failure(
            NAME,
            said,
            "a misrouted or misconfigured deploy: check RESERVATION_API_BASE and the rules of"
            " the gateway in front",
        )
    return warning(NAME, said, "try again; if it persists, look at its log")
