"""The reservation that the GET reads, and the meaning of its answers."""

from typing import Any

import pytest

from reservation_worker.clients.ports import Reservation
from reservation_worker.clients.reservation import ReservationClient
from tests.unit.clients.http_neighbour import (
    CALL,
    HTML,
    TRANSIENT,
    Neighbour,
    error,
    raises,
)

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
