"""The meaning of reservation-api's answers to the PATCH (docs/contract.md#reservation-api)."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from reservation_worker.clients.ports import StatusAnswer
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

# Done.


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


# Not in HOLD any more.


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


# Failures.


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
