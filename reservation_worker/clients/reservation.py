"""reservation-api over HTTP: its two calls, and the meanings of its answers."""

import json
from typing import Any, NoReturn

from reservation_worker.clients.http import HttpTransport, redact
from reservation_worker.clients.http_answer import Answer
from reservation_worker.clients.meaning import Meaning, raise_for
from reservation_worker.clients.ports import (
    FINAL_STATES,
    OPEN_STATES,
    CallContext,
    Reservation,
    StatusAnswer,
    StatusChange,
)
from reservation_worker.events.envelopes import is_text

# The error codes that name the present state of a reservation which is not in HOLD.
STATE_OF_CODE = {
    "RESERVATION_EXPIRED": "EXPIRED",
    "RESERVATION_ALREADY_CONFIRMED": "CONFIRMED",
    "RESERVATION_ALREADY_CANCELLED": "CANCELLED",
}

# Answers to the PATCH (docs/contract.md#reservation-api): exact status and error code, then
# exact status, then the class of the status.
BY_STATUS_AND_CODE = {
    (404, "RESERVATION_NOT_FOUND"): Meaning.PERMANENT,
    **{(400, code): Meaning.CONFLICT for code in STATE_OF_CODE},
}
BY_STATUS = {
    409: Meaning.CONFLICT,
    # Faults of the neighbour, a misrouted or misconfigured deploy, and requests to wait.
    **dict.fromkeys((401, 403, 404, 405, 408, 425, 429), Meaning.TRANSIENT),
}
NOT_THE_API = (502, 503, 504)
"""A gateway's answers without a reachable backend."""
BY_CLASS = {2: Meaning.DONE, 4: Meaning.PERMANENT}
"""Every other status is transient: redirects, server errors, unknown ones."""


def classify(status: int, code: str | None) -> Meaning:
    """The meaning of an HTTP status with the `error.code` of its body, if it has one."""
    exact = BY_STATUS_AND_CODE.get((status, code or ""))
    return exact or BY_STATUS.get(status) or BY_CLASS.get(status // 100, Meaning.TRANSIENT)


class ReservationClient:
    """The ReservationApi port; safe for all pool threads. Raises the port's errors."""

    def __init__(self, base: str, connections: int, token_file: str | None = None) -> None:
        self._http = HttpTransport(base, connections, token_file)

    def update_status(self, change: StatusChange, call: CallContext) -> StatusAnswer:
        """PATCH under the key `status:<STATUS>:<reservation_id>`."""
        body = {
            "status": change.status,
            "payment_intent_id": change.payment_intent_id,
            "order_id": change.order_id,
            "cancel_reason": change.cancel_reason,
            "error_code": change.error_code,
        }
        answer = self._http.request(
            "PATCH",
            f"/internal/reservations/{change.reservation_id}",
            headers={
                "Content-Type": "application/json",
                "Idempotency-Key": f"status:{change.status}:{change.reservation_id}",
                **dict(call.headers),
            },
            body=json.dumps(
                {name: value for name, value in body.items() if value is not None}
            ).encode(),
            timeout=call.begin(),
        )
        return _read_change(answer, change.status)

    def get(self, reservation_id: str, call: CallContext) -> Reservation | None:
        """The reservation now; None for an answer without one, unless it is a passing fault."""
        answer = self._http.request(
            "GET",
            f"/internal/reservations/{reservation_id}",
            headers=dict(call.headers),
            timeout=call.begin(),
        )
        return read_reservation(answer)

    def probe(self, timeout: float) -> None:
        """A GET that names no reservation, on a new connection, which later calls then use.

        Raises TransientError unless the API answers, whatever it answers, in `timeout` seconds.
        """
        self._http.reconnect()
        answer = self._http.request("GET", "/internal/reservations", timeout, {})
        if answer.status in NOT_THE_API:
            _fail("GET", answer, Meaning.TRANSIENT)

    def close(self) -> None:
        """Close the idle connections."""
        self._http.close()


def read_reservation(answer: Answer) -> Reservation | None:
    """The reservation in the answer to a GET; None when it holds nothing usable.

    Raises TransientError when the answer is a failure that may pass.
    """
    meaning = classify(answer.status, None)
    if answer.status == 404 or meaning in (Meaning.PERMANENT, Meaning.CONFLICT):
        return None
    fields = _object(answer.body)
    if meaning is not Meaning.DONE:
        _fail("GET", answer, meaning)
    if fields is None:
        _fail("GET", answer, Meaning.TRANSIENT)
    return Reservation(
        status=_text(fields, "status"),
        event_id=_text(fields, "event_id", "eventId"),
        seat_ids=_seats(fields),
        quantity=_quantity(fields),
        payment_intent_id=_text(fields, "payment_intent_id", "paymentIntentId"),
    )


def _read_change(answer: Answer, wanted: str) -> StatusAnswer:
    fields = _object(answer.body)
    code = _code(fields)
    meaning = classify(answer.status, code)
    if meaning is Meaning.DONE:
        if fields is None and answer.body.strip():
            _fail("PATCH", answer, Meaning.TRANSIENT)
        if (fields or {}).get("status") in (None, "", wanted):
            return StatusAnswer(True, wanted, _payment(fields))
    elif meaning is not Meaning.CONFLICT:
        _fail("PATCH", answer, meaning, code)
    state = _text(fields, "status")
    known = state if state in FINAL_STATES | OPEN_STATES else STATE_OF_CODE.get(code or "")
    return StatusAnswer(False, known, _payment(fields))


def error_code(answer: Answer) -> str | None:
    """The code of an error in the answer."""
    return _code(_object(answer.body))


def _code(fields: dict[str, Any] | None) -> str | None:
    error = fields.get("error") if fields else None
    return _text(error, "code") if isinstance(error, dict) else None


def _fail(method: str, answer: Answer, meaning: Meaning, code: str | None = None) -> NoReturn:
    # Redacted before it is cut: an answer may echo the token, and the error goes into logs and dead
    # letters.
    shown = redact(code or answer.body[:1000].decode("utf-8", "replace"))[:80]
    raise_for(
        meaning, f"reservation-api {method}: HTTP {answer.status} {shown!r}", answer.retry_after
    )


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _text(fields: dict[str, Any] | None, *names: str) -> str | None:
    for name in names:
        value = (fields or {}).get(name)
        if is_text(value) and value:
            return value
    return None


def _payment(fields: dict[str, Any] | None) -> str | None:
    return _text(fields, "payment_intent_id", "paymentIntentId")


def _seats(fields: dict[str, Any]) -> tuple[str, ...] | None:
    value = fields.get("seat_ids")
    value = fields.get("seatIds") if value is None else value
    if isinstance(value, list) and all(is_text(seat) and seat for seat in value):
        return tuple(dict.fromkeys(value))
    return None


def _quantity(fields: dict[str, Any]) -> int | None:
    value = fields.get("quantity") or fields.get("qty")
    return value if type(value) is int and 1 <= value < 2**31 else None
