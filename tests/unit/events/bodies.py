"""Bodies of events, and the parser's answers to them."""

import json
from typing import Any

import pytest

from reservation_worker.errors import InvalidEvent
from reservation_worker.events.parse import Event, parse

RSV = "rsv_456"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
EXPIRED: dict[str, Any] = {
    "id": "evt_uuid",
    "type": "reservation.expired",
    "source": "reservation-api",
    "detail": {
        "reservation_id": RSV,
        "event_id": "evt_789",
        "qty": 2,
        "seat_ids": ["A1", "A2"],
        "user_id": "usr_1",
        "expires_at": "2025-01-23T10:00:00Z",
    },
    "time": "2025-01-23T10:00:00Z",
    "trace_id": "trace_abc",
    "version": "1.0",
    "region": "ap-northeast-2",
    "account": "137406935518",
}
APPROVED: dict[str, Any] = EXPIRED | {
    "type": "payment.approved",
    "source": "payment-sim-api",
    "detail": {
        "reservation_id": RSV,
        "payment_intent_id": "pay_abc",
        "amount": 100,
        "currency": "KRW",
        "event_id": "evt_789",
        "qty": 2,
        "seat_ids": ["A1", "A2"],
        "user_id": "usr_1",
    },
}
FAILED = APPROVED | {
    "type": "payment.failed",
    "detail": APPROVED["detail"] | {"error_code": "CARD_DECLINED", "error_message": "no money"},
}
USED = ["reservation_id", "event_id", "qty", "seat_ids", "payment_intent_id", "error_code"]
CAMEL = {
    "reservation_id": "reservationId",
    "event_id": "eventId",
    "qty": "quantity",
    "seat_ids": "seatIds",
    "payment_intent_id": "paymentIntentId",
    "error_code": "errorCode",
}


def body(kind: str = "payment.failed", **detail: Any) -> str:
    return json.dumps({"type": kind, "detail": {"reservation_id": RSV} | detail})


def status_body(**detail: Any) -> str:
    return json.dumps(
        {"detail-type": "Payment Status Updated", "detail": {"reservation_id": RSV} | detail}
    )


def understood(text: str | bytes, attributes: dict[str, str] | None = None) -> Event:
    event = parse(text, attributes or {})
    assert isinstance(event, Event)
    return event


def refusal(text: str | bytes) -> str:
    """The text of the refusal, which must be short and readable."""
    with pytest.raises(InvalidEvent) as caught:
        parse(text)
    sentence = str(caught.value)
    assert 10 < len(sentence) < 240
    assert sentence.isprintable()
    return sentence
