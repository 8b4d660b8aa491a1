"""An HTTP server that plays reservation-api over the reservation ledger, with faults."""

import logging
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Response, make_response, request

from reservation_worker.simulator.neighbours.calls import CallLog
from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.neighbours.faults import CallerGoneError, Faults
from reservation_worker.simulator.neighbours.http_server import HttpServer, reset_connection
from reservation_worker.simulator.neighbours.reservations import (
    FINAL,
    Change,
    Record,
    ReservationLedger,
    camel_case,
)
from reservation_worker.simulator.processes.ports import LOOPBACK

_CODES = {
    "CONFIRMED": "RESERVATION_ALREADY_CONFIRMED",
    "CANCELLED": "RESERVATION_ALREADY_CANCELLED",
    "EXPIRED": "RESERVATION_EXPIRED",
}
_TROUBLE = {
    Character.CONTRACT: (503, "UNAVAILABLE", "the database does not answer"),
    Character.TODAY: (500, "INTERNAL_ERROR", "Internal server error"),
}
_FACTS = ("payment_intent_id", "order_id", "cancel_reason", "error_code")


class ReservationApi(HttpServer):
    """The server.

    The contract allows several shapes of an answer, and a server of that character uses all of
    them. The shape depends on the reservation's id, so a repeated call gets the same one.
    If it wants a `token`, every call without it gets a 401.
    """

    def __init__(
        self, ledger: ReservationLedger, port: int = 0, host: str = LOOPBACK, token: str = ""
    ) -> None:
        self._token = token
        self._ledger = ledger
        self._today = ledger.character is Character.TODAY
        status, code, text = _TROUBLE[ledger.character]
        error = {"code": code, "message": text}
        self.faults = Faults({"status": status, "body": {"error": error}})
        self.calls = CallLog()
        # "Task queue depth" is this server's normal state while calls hang.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        app = Flask("reservation-api")
        path = "/internal/reservations/<reservation_id>"
        app.add_url_rule(path, "patch", self._patch, methods=["PATCH"])
        app.add_url_rule(path, "get", self._get, methods=["GET"])
        app.before_request(self._unauthorized)
        if self._today:
            # An unknown path is an internal error there.
            app.register_error_handler(404, lambda _: _error(500, "INTERNAL_ERROR", "no handler"))
        super().__init__(app, port, host)

    @property
    def base(self) -> str:
        """The URL, as RESERVATION_API_BASE wants it."""
        return f"http://{LOOPBACK}:{self.port}"

    def _unauthorized(self) -> Response | None:
        if not self._token or request.headers.get("Authorization") == f"Bearer {self._token}":
            return None
        return Response(status=401, headers={"WWW-Authenticate": "Bearer"})

    def _patch(self, reservation_id: str) -> Response:
        body = request.get_json(force=True, silent=True)
        body = body if isinstance(body, dict) else {}

        def effect() -> Response:
            if body.get("status") not in FINAL:
                return _error(400, "INVALID_REQUEST", "status must name a final state")
            facts = {name: body.get(name) for name in _FACTS}
            key = request.headers.get("Idempotency-Key", "")
            change = self._ledger.change(reservation_id, body["status"], key, facts)
            return _changed(change, body["status"], self._today)

        return self._serve("PATCH", reservation_id, body, effect)

    def _get(self, reservation_id: str) -> Response:
        def effect() -> Response:
            record = self._ledger.get(reservation_id)
            return _not_found() if record is None else _shown(record, self._today)

        return self._serve("GET", reservation_id, {}, effect)

    def _serve(
        self,
        method: str,
        reservation_id: str,
        body: Mapping[str, Any],
        effect: Callable[[], Response],
    ) -> Response:
        row = self.calls.add(method, reservation_id, dict(request.headers), body)
        gone = request.environ["waitress.client_disconnected"]
        try:
            answer = self.faults.serve(method, reservation_id, gone, effect, _false_answer)
        except CallerGoneError:
            answer = _error(503, "CALLER_GONE", "nobody will read this")
        row["answer"] = answer.status_code
        return answer


def _false_answer(spec: Mapping[str, Any]) -> Response:
    """An answer as `NeighboursProcess.answer` describes it."""
    if spec.get("reset"):
        reset_connection(request.environ)
    body = "x" * spec["body_bytes"] if "body_bytes" in spec else spec.get("body", "")
    answer = make_response(body, spec.get("status", 503))
    answer.headers.update(spec.get("headers") or {})
    if spec.get("truncated"):
        # waitress closes the connection when fewer bytes come than were announced.
        answer.automatically_set_content_length = False
        answer.headers["Content-Length"] = str(len(answer.get_data()) + 100)
    return answer


def _shape(record: Record, kinds: int) -> int:
    return zlib.crc32(record.reservation_id.encode()) % kinds


def _changed(change: Change | None, asked: str, today: bool) -> Response:
    if change is None:
        return _not_found()
    record = change.record
    if change.done:
        if record.status == "EXPIRED" and _shape(record, 4) == 0 and not today:
            return Response(status=204)
        row = record.as_dict()
        return make_response(camel_case(row) if today else row)
    code = _CODES[record.status]
    facts: dict[str, Any] = {}
    if record.payment_intent_id:
        facts["payment_intent_id"] = record.payment_intent_id
    text = f"{record.reservation_id} is {record.status}, not to be {asked}"
    if today:
        return _error(400, code, text, camel_case(facts))
    shape = _shape(record, 3)
    if shape == 0:
        facts["status"] = record.status
    return _error(400 if shape == 2 else 409, code, text, facts)


def _shown(record: Record, today: bool) -> Response:
    row = record.as_dict() | {"hold_expires_at": "2025-01-23T10:01:00Z"}
    return make_response(camel_case(row) if today or _shape(record, 2) else row)


def _not_found() -> Response:
    return _error(404, "RESERVATION_NOT_FOUND", "no such reservation")


def _error(
    status: int, code: str, message: str, facts: Mapping[str, Any] | None = None
) -> Response:
    trace = request.headers.get("x-trace-id", "")
    error = {"code": code, "message": message, "traceId": trace}
    return make_response({"error": error, **(facts or {})}, status)
