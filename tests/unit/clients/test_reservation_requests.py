"""The requests that reservation-api receives."""

import json

import pytest

from reservation_worker.clients.ports import CallContext, StatusChange
from reservation_worker.clients.reservation import ReservationClient
from tests.unit.clients.http_neighbour import (
    CALL,
    EXPIRE,
    Neighbour,
)


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


@pytest.mark.parametrize("value", ["t\r\nX-Admin: 1", "t\nX-Admin: 1", "t\rX-Admin: 1"])
def test_a_value_with_a_line_break_is_never_sent(
    neighbour: Neighbour, client: ReservationClient, value: str
) -> None:
    with pytest.raises(ValueError, match="line break"):
        client.update_status(EXPIRE, CallContext(10.0, (("x-trace-id", value),)))
    assert not neighbour.requests
