"""Turns the body of a message into one frozen event, or InvalidEvent (docs/contract.md#events).

Only this module knows the producers' variants. It takes off the envelopes, looks up the type, and
reads each field by all of its names.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from reservation_worker.errors import InvalidEvent
from reservation_worker.events.envelopes import (
    detail_of,
    first,
    is_text,
    read_object,
    show,
    string,
    text,
    unwrap,
)
from reservation_worker.events.kinds import (
    BY_PAYMENT_STATUS,
    BY_TYPE,
    PAYMENT_STATUS_TYPES,
    Kind,
)


@dataclass(frozen=True, slots=True)
class TraceHints:
    """Candidates in the contract's order; observability.tracing takes the first valid one."""

    traceparents: tuple[str, ...] = ()
    trace_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """The facts for the settlement. None: the message does not have it."""

    kind: Kind
    reservation_id: str
    id: str | None  # identifies the message
    event_id: str | None  # the ticketed show
    seat_ids: tuple[str, ...] | None  # (): general admission
    qty: int | None
    payment_intent_id: str | None
    error_code: str | None
    user_id: str | None
    order_id: str | None
    trace: TraceHints
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ignored:
    """An event with nothing to do: acknowledged with outcome `dropped`."""

    reservation_id: str
    reason: str
    trace: TraceHints


# It becomes part of a URL path. For fullmatch only: `$` would let a trailing newline through.
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_MAX_QTY = 2**31 - 1  # int32 on inventory-svc's wire


def parse(
    body: str | bytes, attributes: Mapping[str, str] = MappingProxyType({})
) -> Event | Ignored:
    """Parse a message; `attributes` are its string attributes, read for the trace only.

    Raises InvalidEvent with one sentence that names the fault and its place. Where a field has two
    names, the canonical one wins over camelCase.
    """
    layers = unwrap(read_object(body, "the body"))
    event = layers[-1]
    detail = detail_of(event)
    trace = _trace(attributes, layers, detail)

    name = string(event, "type", "detail-type")
    if name is None:
        raise InvalidEvent("the event has no type: neither type nor detail-type is there")
    kind = BY_TYPE.get(name)
    is_payment_status = kind is None and name in PAYMENT_STATUS_TYPES
    if kind is None and not is_payment_status:
        raise InvalidEvent(f"the type {show(name)} is unknown")

    reservation_id = _reservation_id(detail)
    event_id = string(detail, "event_id", "eventId")
    payment_names = ("payment_intent_id", "paymentIntentId", "payment_id")
    payment_intent_id = string(detail, *payment_names[: 3 if is_payment_status else 2])
    error_code = string(detail, "error_code", "errorCode")
    seat_ids, qty, warnings = _seats(detail)

    if is_payment_status:
        kind = _payment_status(detail)
    if kind is None:
        return Ignored(reservation_id, f"nothing to do for {detail['status']}", trace)
    return Event(
        kind=kind,
        reservation_id=reservation_id,
        id=_unused_string(event, "id"),
        event_id=event_id,
        seat_ids=seat_ids,
        qty=qty,
        payment_intent_id=payment_intent_id,
        error_code=error_code,
        user_id=_unused_string(detail, "user_id", "userId"),
        order_id=_unused_string(detail, "order_id", "orderId"),
        trace=trace,
        warnings=warnings,
    )


def _trace(
    attributes: Mapping[str, str], layers: list[dict[str, Any]], detail: dict[str, Any]
) -> TraceHints:
    event, outer = layers[-1], layers[-2::-1]
    # Without raw delivery SNS keeps the publisher's message attributes inside its envelope.
    published = [attributes, *map(_sns_attributes, layers)]
    # The order differs: the detail comes first for a traceparent, the event for a trace_id.
    parents = [layer.get("traceparent") for layer in (*published, detail, event, *outer)]
    names = ("trace_id", "traceId")
    ids = [layer.get(name) for layer in (event, detail, *outer) for name in names]
    return TraceHints(
        traceparents=_candidates(parents),
        trace_ids=_candidates([*(layer.get("TraceId") for layer in published), *ids]),
    )


def _sns_attributes(layer: dict[str, Any]) -> dict[str, Any]:
    """The message attributes of an SNS envelope, {"name": {"Type": ..., "Value": ...}}, by name."""
    found = layer.get("MessageAttributes") if layer.get("Type") == "Notification" else None
    if not isinstance(found, dict):
        return {}
    return {name: one.get("Value") for name, one in found.items() if isinstance(one, dict)}


def _candidates(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value and is_text(value)))


def _unused_string(layer: dict[str, Any], *names: str) -> str | None:
    """A field that the settlement does not need: an ill-typed one is dropped, not rejected."""
    value = next((layer[name] for name in names if layer.get(name) not in (None, "")), None)
    return value if is_text(value) else None


def _reservation_id(detail: dict[str, Any]) -> str:
    value = string(detail, "reservation_id", "reservationId")
    if value is None:
        raise InvalidEvent("the event has no reservation_id")
    if not _SAFE_ID.fullmatch(value):
        raise InvalidEvent(f"the reservation_id {show(value)} is not safe to put into a URL")
    return value


def _payment_status(detail: dict[str, Any]) -> Kind | None:
    status = string(detail, "status")
    if status is None:
        raise InvalidEvent("the payment status update has no status")
    if status not in BY_PAYMENT_STATUS:
        raise InvalidEvent(f"the payment status {show(status)} is unknown")
    return BY_PAYMENT_STATUS[status]


def _seats(detail: dict[str, Any]) -> tuple[tuple[str, ...] | None, int | None, tuple[str, ...]]:
    """Seats and quantity, filled in from each other, with warnings where they disagree."""
    name, qty = first(detail, "qty", "quantity")
    # `type`, not isinstance: true is an int to Python.
    if qty is not None and (type(qty) is not int or not 1 <= qty <= _MAX_QTY):
        raise InvalidEvent(f"{name} is {show(qty)}, not a whole number from 1 to {_MAX_QTY}")

    name, listed = first(detail, "seat_ids", "seatIds")
    if listed is None:
        return None, qty, ()
    if not isinstance(listed, list):
        raise InvalidEvent(f"{name} is {show(listed)}, not a list")
    for index, seat in enumerate(listed):
        if not text(f"{name}[{index}]", seat):
            raise InvalidEvent(f"{name}[{index}] is an empty string")
    seats = tuple(dict.fromkeys(listed))
    if not seats:
        return seats, qty, ()

    warnings = []
    if len(seats) < len(listed):
        warnings.append(f"{name} repeats {len(listed) - len(seats)} of its seats")
    if qty is not None and qty != len(seats):
        warnings.append(f"the quantity is {qty}, but {name} has {len(seats)} seats: the seats win")
    return seats, len(seats), tuple(warnings)
