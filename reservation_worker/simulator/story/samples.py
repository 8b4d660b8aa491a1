"""One event in its canonical form (docs/contract.md#events), about a reservation there is. Pure."""

from typing import Any

from reservation_worker.simulator.neighbours.reservations import Record

EXPIRED, APPROVED, FAILED = "reservation.expired", "payment.approved", "payment.failed"
TYPES = (EXPIRED, APPROVED, FAILED)
SEEDED_TIME = "2025-01-23T10:00:00Z"
"""When events happen that a seed makes: always then."""


def event(
    kind: str,
    record: Record,
    payment: str,
    *,
    identity: str,
    trace_id: str,
    time: str = SEEDED_TIME,
    with_seats: bool = True,
) -> dict[str, Any]:
    """The event `kind` (a canonical type); without seats the worker has to ask for them."""
    detail: dict[str, Any] = {"reservation_id": record.reservation_id}
    if with_seats:
        detail["event_id"] = record.event_id
        detail["qty"] = record.quantity
        detail["seat_ids"] = list(record.seat_ids)
    if kind != EXPIRED:
        detail |= {"payment_intent_id": payment, "amount": 120_000, "currency": "KRW"}
    if kind == FAILED:
        detail |= {"error_code": "CARD_DECLINED", "error_message": "카드 한도 초과"}
    return {
        "id": identity,
        "type": kind,
        "source": "reservation-api" if kind == EXPIRED else "payment-sim-api",
        "detail": detail,
        "time": time,
        "trace_id": trace_id,
        "version": "1.0",
        "region": "ap-northeast-2",
        "account": "137406935518",
    }
