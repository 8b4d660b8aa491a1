"""Sample events in their canonical form (docs/contract.md#events). Pure."""

from typing import Any

from reservation_worker.events.kinds import BY_TYPE, Kind
from reservation_worker.simulator.neighbours.reservations import Record

TYPES = tuple(kind.event_type for kind in Kind)
SEEDED_TIME = "2025-01-23T10:00:00Z"
"""The time of events that are made from a seed."""


def event(
    event_type: str,
    record: Record,
    payment: str,
    *,
    identity: str,
    trace_id: str,
    time: str = SEEDED_TIME,
    with_seats: bool = True,
) -> dict[str, Any]:
    """A sample of a canonical type about `record`; without seats the worker has to ask for them."""
    detail: dict[str, Any] = {"reservation_id": record.reservation_id}
    if with_seats:
        detail["event_id"] = record.event_id
        detail["qty"] = record.quantity
        detail["seat_ids"] = list(record.seat_ids)
    kind = BY_TYPE[event_type]
    detail |= kind.value.sample
    if "payment_intent_id" in detail:
        detail["payment_intent_id"] = payment
    return {
        "id": identity,
        "type": event_type,
        "source": kind.value.source,
        "detail": detail,
        "time": time,
        "trace_id": trace_id,
        "version": "1.0",
        "region": "ap-northeast-2",
        "account": "137406935518",
    }
