"""An HTTP server that plays reservation-api over the reservation ledger, with faults."""

import json
import logging
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Response, request

from reservation_worker.simulator.neighbours.calls import CallLog
from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.neighbours.faults import CallerGoneError, Faults
from reservation_worker.simulator.neighbours.http_server import HOST, HttpServer, reset_connection
from reservation_worker.simulator.neighbours.reservations import (
    FINAL,
    Change,
    Record,
    ReservationLedger,
)

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
_CAMEL = {
    "reservation_id": "reservationId",
    "event_id": "eventId",
    "user_id": "userId",
    "seat_ids": "seatIds",
    "hold_expires_at": "holdExpiresAt",
    "payment_intent_id": "paymentIntentId",
    "order_id": "orderId",
    "cancel_reason": "cancelReason",
    "error_code": "errorCode",
}


class ReservationApi:
    """The server. A port of 0 is chosen at the first start and kept over restarts.

    The contract allows several shapes of an answer, and a server of that character uses all of
    them. The shape depends on the reservation's id, so a repeated call gets the same one.
    While `token` is set, a call without it gets a 401.
    """

    def __init__(self, ledger: ReservationLedger, port: int = 0, host: str = HOST) -> None:
        self.faults = Faults()
        self.calls = CallLog()
        self.token = ""
        self._ledger = ledger
        # "Task queue depth" is this server's normal state while calls hang.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        app = Flask("reservation-api")
        path = "/internal/reservations/<reservation_id>"
        app.add_url_rule(path, "patch", self._patch, methods=["PATCH"])
        app.add_url_rule(path, "get", self._get, methods=["GET"])
        app.before_request(self._unauthorized)
        if ledger.character is Character.TODAY:
            # An unknown path is an internal error there.
            app.register_error_handler(404, lambda _: _error(500, "INTERNAL_ERROR", "no handler"))
        self._http = HttpServer(app, port, host=host)

    @property
    def base(self) -> str:
        """The URL, as RESERVATION_API_BASE wants it."""
        return f"http://{HOST}:{self.port}"

    @property
    def port(self) -> int:
        """The port, known once it was open."""
        return self._http.port

    @property
    def running(self) -> bool:
        """Whether the port is open."""
        return self._http.running

    def start(self) -> None:
        """Open the port and serve; a second start does nothing."""
        self._http.start()

    def stop(self) -> None:
        """Close the port and every connection; safe before a start and twice."""
        self._http.stop(self.faults.abandon)

    def _unauthorized(self) -> Response | None:
        if not self.token or request.headers.get("Authorization") == f"Bearer {self.token}":
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
            return _changed(change, body["status"], self._ledger.character)

        return self._serve("PATCH", reservation_id, body, effect)

    def _get(self, reservation_id: str) -> Response:
        def effect() -> Response:
            record = self._ledger.get(reservation_id)
            return _not_found() if record is None else _shown(record, self._ledger.character)

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
            self.faults.delay()
            self.faults.pause(reservation_id, gone)
            canned = self.faults.canned(reservation_id, method)
            if canned is None:
                answer = effect()
                self.faults.pause(reservation_id, gone, after=True)
                canned = self.faults.canned(reservation_id, method, after=True)
            if canned is not None:
                answer = _instead(canned, self._ledger.character)
        except CallerGoneError:
            answer = _error(503, "CALLER_GONE", "nobody will read this")
        row["answer"] = answer.status_code
        return answer


def _instead(canned: Mapping[str, Any], character: Character) -> Response:
    if canned.get("trouble"):
        return _error(*_TROUBLE[character])
    if canned.get("reset"):
        reset_connection(request.environ)
    body = "x" * canned["body_bytes"] if "body_bytes" in canned else canned.get("body", "")
    if isinstance(body, str):
        answer = Response(body, canned.get("status", 503), mimetype="text/html")
    else:
        answer = _json(canned.get("status", 503), body)
    answer.headers.update(canned.get("headers") or {})
    if canned.get("truncated"):
        # waitress closes the connection when fewer bytes come than were announced.
        answer.automatically_set_content_length = False
        answer.headers["Content-Length"] = str(len(answer.get_data()) + 100)
    return answer


def _shape(record: Record, kinds: int) -> int:
    return zlib.crc32(record.reservation_id.encode()) % kinds


def _changed(change: Change | None, asked: str, character: Character) -> Response:
    if change is None:
        return _not_found()
    record, today = change.record, character is Character.TODAY
    if change.done:
        if record.status == "EXPIRED" and _shape(record, 4) == 0 and not today:
            return Response(status=204)
        return _json(200, _camel_case(record.as_dict()) if today else record.as_dict())
    code = _CODES[record.status]
    facts: dict[str, Any] = {}
    if record.payment_intent_id:
        facts["payment_intent_id"] = record.payment_intent_id
    text = f"{record.reservation_id} is {record.status}, not to be {asked}"
    if today:
        return _error(400, code, text, _camel_case(facts))
    shape = _shape(record, 3)
    if shape == 0:
        facts["status"] = record.status
    return _error(400 if shape == 2 else 409, code, text, facts)


def _shown(record: Record, character: Character) -> Response:
    row = record.as_dict() | {"hold_expires_at": "2025-01-23T10:01:00Z"}
    camel = character is Character.TODAY or _shape(record, 2)
    return _json(200, _camel_case(row) if camel else row)


def _camel_case(row: Mapping[str, Any]) -> dict[str, Any]:
    return {_CAMEL.get(name, name): value for name, value in row.items()}


def _not_found() -> Response:
    return _error(404, "RESERVATION_NOT_FOUND", "no such reservation")


def _error(
    status: int, code: str, message: str, facts: Mapping[str, Any] | None = None
) -> Response:
    trace = request.headers.get("x-trace-id", "")
    error = {"code": code, "message": message, "traceId": trace}
    return _json(status, {"error": error, **(facts or {})})


def _json(status: int, body: Any) -> Response:
    return Response(json.dumps(body), status, mimetype="application/json")
