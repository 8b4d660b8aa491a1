"""The meaning of each answer of reservation-api (docs/contract.md#reservation-api), over HTTP."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from reservation_worker.clients.ports import CallContext, Reservation, StatusAnswer, StatusChange
from reservation_worker.clients.reservation import ReservationClient
from reservation_worker.errors import TransientError
from tests.unit.clients.http_neighbour import (
    CALL,
    CONFIRM,
    DONE,
    EXPIRE,
    HTML,
    PERMANENT,
    TRANSIENT,
    Neighbour,
    error,
    raises,
)

# The PATCH: done.


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_2xx_with_an_empty_body_is_done(
    neighbour: Neighbour, client: ReservationClient, status: int
) -> None:
    neighbour.says(status)
    assert client.update_status(EXPIRE, CALL) == DONE


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reservation_id": "rsv_1"},
        {"status": "EXPIRED"},
        {"status": None},
        {"status": ""},
        {"error": None},
    ],
    ids=json.dumps,
)
def test_a_2xx_with_an_object_that_names_no_other_status_is_done(
    neighbour: Neighbour, client: ReservationClient, body: dict[str, Any]
) -> None:
    neighbour.says(200, body)
    assert client.update_status(EXPIRE, CALL) == DONE


def test_a_2xx_of_white_space_only_is_done(neighbour: Neighbour, client: ReservationClient) -> None:
    neighbour.says(200, b" \r\n")
    assert client.update_status(EXPIRE, CALL) == DONE


@pytest.mark.parametrize("name", ["payment_intent_id", "paymentIntentId"])
def test_a_2xx_may_name_the_payment_that_confirmed_it(
    neighbour: Neighbour, client: ReservationClient, name: str
) -> None:
    neighbour.says(200, {"status": "CONFIRMED", name: "pay_0"})
    assert client.update_status(CONFIRM, CALL) == StatusAnswer(True, "CONFIRMED", "pay_0")


# The PATCH: not in HOLD any more.


@pytest.mark.parametrize("status", ["CONFIRMED", "CANCELLED", "HOLD", "PENDING"])
def test_a_2xx_that_names_another_status_counts_as_a_409_with_that_status(
    neighbour: Neighbour, client: ReservationClient, status: str
) -> None:
    neighbour.says(200, {"status": status})
    assert client.update_status(EXPIRE, CALL) == StatusAnswer(False, status)


@pytest.mark.parametrize("status", ["SHIPPED", "confirmed", 7, ["EXPIRED"], {"now": "EXPIRED"}])
def test_a_2xx_with_an_unknown_status_is_not_done_and_reports_no_state(
    neighbour: Neighbour, client: ReservationClient, status: Any
) -> None:
    neighbour.says(200, {"status": status})
    assert client.update_status(EXPIRE, CALL) == StatusAnswer(False, None)


STATE_OF_CODE = [
    ("RESERVATION_EXPIRED", "EXPIRED"),
    ("RESERVATION_ALREADY_CONFIRMED", "CONFIRMED"),
    ("RESERVATION_ALREADY_CANCELLED", "CANCELLED"),
]


@pytest.mark.parametrize("status", [409, 400])
@pytest.mark.parametrize(("code", "state"), STATE_OF_CODE)
def test_a_409_or_400_with_a_code_reports_the_state_that_it_names(
    neighbour: Neighbour, client: ReservationClient, status: int, code: str, state: str
) -> None:
    neighbour.says(status, error(code))
    assert client.update_status(CONFIRM, CALL) == StatusAnswer(False, state)


@pytest.mark.parametrize("state", ["CONFIRMED", "CANCELLED", "EXPIRED", "HOLD", "PENDING"])
def test_a_409_reports_the_status_in_its_body(
    neighbour: Neighbour, client: ReservationClient, state: str
) -> None:
    neighbour.says(409, {"status": state})
    assert client.update_status(CONFIRM, CALL) == StatusAnswer(False, state)


def test_a_409s_status_wins_over_its_code(neighbour: Neighbour, client: ReservationClient) -> None:
    neighbour.says(409, error("RESERVATION_ALREADY_CONFIRMED", status="CANCELLED"))
    assert client.update_status(EXPIRE, CALL) == StatusAnswer(False, "CANCELLED")


@pytest.mark.parametrize("status", ["SHIPPED", 409, None])
def test_a_409s_code_counts_where_its_status_is_not_a_state(
    neighbour: Neighbour, client: ReservationClient, status: Any
) -> None:
    neighbour.says(409, error("RESERVATION_EXPIRED", status=status))
    assert client.update_status(CONFIRM, CALL) == StatusAnswer(False, "EXPIRED")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        HTML,
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"status": 409, "error": "Conflict", "path": "/"}',
        b'{"error": {"code": "SOMETHING_ELSE"}}',
        b'{"error": {"code": 7}}',
        b'{"error": {}}',
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_409_with_nothing_usable_reports_no_state(
    neighbour: Neighbour, client: ReservationClient, body: bytes
) -> None:
    neighbour.says(409, body)
    assert client.update_status(EXPIRE, CALL) == StatusAnswer(False, None)


@pytest.mark.parametrize("name", ["payment_intent_id", "paymentIntentId"])
def test_a_409_may_name_the_payment_that_confirmed_it(
    neighbour: Neighbour, client: ReservationClient, name: str
) -> None:
    neighbour.says(409, error("RESERVATION_ALREADY_CONFIRMED", **{name: "pay_0"}))
    assert client.update_status(CONFIRM, CALL) == StatusAnswer(False, "CONFIRMED", "pay_0")


# The PATCH: failures.


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # 2xx with anything else: not our API
        (200, HTML, TRANSIENT),
        (200, b"[]", TRANSIENT),
        (200, b'"EXPIRED"', TRANSIENT),
        (200, b"null", TRANSIENT),
        (200, b"\xff", TRANSIENT),
        (202, HTML, TRANSIENT),
        # permanent
        (404, error("RESERVATION_NOT_FOUND"), PERMANENT),
        (400, b"", PERMANENT),
        (400, HTML, PERMANENT),
        (400, error("INVALID_REQUEST"), PERMANENT),
        (400, error("RESERVATION_NOT_FOUND"), PERMANENT),
        (422, error("RESERVATION_EXPIRED"), PERMANENT),  # only with 400 and 409
        (402, b"", PERMANENT),
        (406, b"", PERMANENT),
        (410, b"", PERMANENT),
        (411, b"", PERMANENT),
        (412, b"", PERMANENT),
        (413, b"", PERMANENT),
        (415, b"", PERMANENT),
        (418, b"", PERMANENT),
        (422, b"", PERMANENT),
        (423, b"", PERMANENT),
        (451, b"", PERMANENT),
        # transient
        (408, b"", TRANSIENT),
        (425, b"", TRANSIENT),
        (429, b"", TRANSIENT),
        (500, error("RESERVATION_EXPIRED"), TRANSIENT),
        (500, HTML, TRANSIENT),
        (501, b"", TRANSIENT),
        (502, HTML, TRANSIENT),
        (503, b"", TRANSIENT),
        (504, b"", TRANSIENT),
        (599, b"", TRANSIENT),
        # neighbour fault
        (401, b"", TRANSIENT),
        (403, b"", TRANSIENT),
        (405, b"", TRANSIENT),
        (404, b"", TRANSIENT),
        (404, HTML, TRANSIENT),
        (404, error("NOT_FOUND"), TRANSIENT),
        (404, {"status": 404, "error": "Not Found"}, TRANSIENT),
        (300, b"", TRANSIENT),
        (304, b"", TRANSIENT),
        # no HTTP status
        (600, b"", TRANSIENT),
        (999, b"", TRANSIENT),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value)[:40],
)
def test_each_refusal_has_its_meaning_in_the_contract(
    neighbour: Neighbour,
    client: ReservationClient,
    status: int,
    body: Any,
    kind: type[Exception],
) -> None:
    neighbour.says(status, body)
    caught = raises(kind, lambda: client.update_status(EXPIRE, CALL))
    assert f"PATCH: HTTP {status}" in str(caught)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["PATCH", "GET"])
def test_a_redirect_is_a_neighbour_fault_and_is_not_followed(
    neighbour: Neighbour, client: ReservationClient, status: int, method: str
) -> None:
    with Neighbour() as elsewhere:
        elsewhere.says(200, {})
        neighbour.says(status, Location=f"{elsewhere.base}/internal/reservations/rsv_1")
        if method == "PATCH":
            raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))
        else:
            raises(TRANSIENT, lambda: client.get("rsv_1", CALL))
        assert elsewhere.connections == 0
    assert len(neighbour.requests) == 1


def test_a_failed_call_is_not_retried_by_the_client(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(503, Retry_After="0")
    raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL))
    assert len(neighbour.requests) == 1


# Retry-After.


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("3600", 3600.0),  # RetryPolicy.delay keeps it to 900
        ("-5", 0.0),
        ("soon", 0.0),
        ("1.5", 0.0),
        ("", 0.0),
        ("9" * 5000, 0.0),  # more digits than Python reads
        ("Mon, 01 Jan 1990 00:00:00 GMT", 0.0),  # in the past
        ("Mon, 01 Foo 2990 00:00:00 GMT", 0.0),  # there is no such month
    ],
    ids=lambda value: str(value)[:30],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_seconds_is_passed_on(
    neighbour: Neighbour, client: ReservationClient, status: int, value: str, seconds: float
) -> None:
    neighbour.says(status, Retry_After=value)
    with pytest.raises(TransientError) as caught:
        client.update_status(EXPIRE, CALL)
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_as_a_date_is_passed_on_as_the_seconds_until_then(
    neighbour: Neighbour, client: ReservationClient, status: int
) -> None:
    then = datetime.now(UTC) + timedelta(seconds=300)
    neighbour.says(status, Retry_After=format_datetime(then, usegmt=True))
    with pytest.raises(TransientError) as caught:
        client.update_status(EXPIRE, CALL)
    assert 250 < caught.value.retry_after <= 300


def test_without_retry_after_no_delay_is_requested(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(503)
    assert raises(TRANSIENT, lambda: client.update_status(EXPIRE, CALL)).retry_after == 0.0


# The requests that reservation-api receives.


@pytest.mark.parametrize(
    ("change", "body"),
    [
        (
            StatusChange("rsv_1", "CONFIRMED", payment_intent_id="pay_1"),
            {"status": "CONFIRMED", "payment_intent_id": "pay_1"},
        ),
        (
            StatusChange("rsv_1", "CONFIRMED", payment_intent_id="pay_1", order_id="ord_1"),
            {"status": "CONFIRMED", "payment_intent_id": "pay_1", "order_id": "ord_1"},
        ),
        (
            StatusChange(
                "rsv_1", "CANCELLED", cancel_reason="payment_failed", error_code="CARD_DECLINED"
            ),
            {
                "status": "CANCELLED",
                "cancel_reason": "payment_failed",
                "error_code": "CARD_DECLINED",
            },
        ),
        (
            StatusChange("rsv_1", "CANCELLED", cancel_reason="payment_failed"),
            {"status": "CANCELLED", "cancel_reason": "payment_failed"},
        ),
        (StatusChange("rsv_1", "EXPIRED"), {"status": "EXPIRED"}),
    ],
)
def test_the_patch_carries_the_known_facts_and_nothing_else(
    neighbour: Neighbour, client: ReservationClient, change: StatusChange, body: dict[str, str]
) -> None:
    neighbour.says(204)
    client.update_status(change, CALL)
    request = neighbour.requests[0]
    assert (request.command, request.path) == ("PATCH", "/internal/reservations/rsv_1")
    assert json.loads(request.body) == body


def test_the_patch_carries_its_headers(neighbour: Neighbour, client: ReservationClient) -> None:
    neighbour.says(204)
    parent = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    trace = (("traceparent", parent), ("x-trace-id", "t 1"))
    client.update_status(EXPIRE, CallContext(10.0, trace))
    headers = neighbour.requests[0].headers
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == "status:EXPIRED:rsv_1"
    assert headers["traceparent"] == parent
    assert headers["x-trace-id"] == "t 1"


def test_the_key_of_the_patch_names_the_effect_not_its_cause(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(204)
    for payment in ("pay_1", "pay_2", None):
        client.update_status(StatusChange("rsv_1", "CONFIRMED", payment_intent_id=payment), CALL)
    keys = {request.headers["Idempotency-Key"] for request in neighbour.requests}
    assert keys == {"status:CONFIRMED:rsv_1"}


def test_the_get_carries_the_trace_and_no_key(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(200, {})
    client.get("rsv_1", CallContext(10.0, (("x-trace-id", "t 1"),)))
    request = neighbour.requests[0]
    assert (request.command, request.path) == ("GET", "/internal/reservations/rsv_1")
    assert request.headers["x-trace-id"] == "t 1"
    assert "Idempotency-Key" not in request.headers
    assert request.body == b""


@pytest.mark.parametrize("prefix", ["/api/v1", "/api/v1/"])
def test_a_base_url_may_have_a_path(neighbour: Neighbour, prefix: str) -> None:
    neighbour.says(204)
    client = ReservationClient(neighbour.base + prefix, connections=1)
    client.update_status(EXPIRE, CALL)
    client.close()
    assert neighbour.requests[0].path == "/api/v1/internal/reservations/rsv_1"


# The GET.

FACTS = Reservation("HOLD", "concert", ("A1", "A2"), 2, "pay_1")


@pytest.mark.parametrize(
    "body",
    [
        {
            "reservation_id": "rsv_1",
            "event_id": "concert",
            "user_id": "usr_1",
            "status": "HOLD",
            "seat_ids": ["A1", "A2"],
            "quantity": 2,
            "hold_expires_at": "2025-01-23T10:00:00Z",
            "payment_intent_id": "pay_1",
        },
        {
            "reservationId": "rsv_1",
            "eventId": "concert",
            "userId": "usr_1",
            "status": "HOLD",
            "seatIds": ["A1", "A2"],
            "quantity": 2,
            "holdExpiresAt": "2025-01-23T10:00:00Z",
            "paymentIntentId": "pay_1",
        },
    ],
    ids=["snake_case", "camelCase"],
)
def test_the_get_reads_both_spellings(
    neighbour: Neighbour, client: ReservationClient, body: dict[str, Any]
) -> None:
    neighbour.says(200, body)
    assert client.get("rsv_1", CALL) == FACTS


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", 7),
        ("status", ""),
        ("event_id", None),
        ("event_id", ["concert"]),
        ("seat_ids", None),
        ("seat_ids", "A1"),
        ("seat_ids", ["A1", 2]),
        ("seat_ids", ["A1", ""]),
        ("seat_ids", ["A1", "\ud800"]),  # protobuf refuses it
        ("event_id", "\ud800"),
        ("quantity", "2"),
        ("quantity", 0),
        ("quantity", True),
        ("quantity", 2.0),
        ("quantity", 2**31),
        ("payment_intent_id", {}),
    ],
)
def test_an_unusable_field_of_the_get_is_absent(
    neighbour: Neighbour, client: ReservationClient, field: str, value: Any
) -> None:
    facts = {
        "status": "HOLD",
        "event_id": "concert",
        "seat_ids": ["A1", "A2"],
        "quantity": 2,
        "payment_intent_id": "pay_1",
    }
    neighbour.says(200, facts | {field: value})
    seen = client.get("rsv_1", CALL)
    assert seen is not None
    expected = {name: getattr(FACTS, name) for name in facts} | {field: None}
    assert {name: getattr(seen, name) for name in facts} == expected


def test_the_get_of_general_admission_has_a_quantity_and_no_seats(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(200, {"status": "HOLD", "seat_ids": [], "quantity": 3})
    assert client.get("rsv_1", CALL) == Reservation("HOLD", None, (), 3, None)


def test_the_get_counts_a_seat_named_twice_once(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(200, {"seat_ids": ["A2", "A1", "A2"]})
    assert client.get("rsv_1", CALL) == Reservation(seat_ids=("A2", "A1"))


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, error("RESERVATION_NOT_FOUND")), (400, b""), (409, b""), (410, b""), (422, b"")],
)
def test_a_get_that_answers_without_a_reservation_returns_none(
    neighbour: Neighbour, client: ReservationClient, status: int, body: Any
) -> None:
    neighbour.says(status, body)
    assert client.get("rsv_1", CALL) is None


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (408, b"", TRANSIENT),
        (425, b"", TRANSIENT),
        (429, b"", TRANSIENT),
        (500, b"", TRANSIENT),
        (503, b"", TRANSIENT),
        (504, HTML, TRANSIENT),
        (401, b"", TRANSIENT),
        (403, b"", TRANSIENT),
        (405, b"", TRANSIENT),
        (301, b"", TRANSIENT),
        (200, HTML, TRANSIENT),
        (200, b"", TRANSIENT),
        (200, b"[]", TRANSIENT),
        (200, b"null", TRANSIENT),
        (204, b"", TRANSIENT),
    ],
)
def test_a_get_that_fails_for_a_passing_reason_is_a_transient_error(
    neighbour: Neighbour,
    client: ReservationClient,
    status: int,
    body: bytes,
    kind: type[Exception],
) -> None:
    neighbour.says(status, body)
    caught = raises(kind, lambda: client.get("rsv_1", CALL))
    assert f"GET: HTTP {status}" in str(caught)


def test_a_get_that_is_asked_to_wait_reports_for_how_long(
    neighbour: Neighbour, client: ReservationClient
) -> None:
    neighbour.says(429, Retry_After="7")
    assert raises(TRANSIENT, lambda: client.get("rsv_1", CALL)).retry_after == 7.0
