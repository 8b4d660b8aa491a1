"""Turns a canonical event into every producer's variant (docs/contract.md#variants).

The demo publishes them, and tests prove that the worker parses them alike.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reservation_worker.events.kinds import BY_TYPE, PAYMENT_STATUS_TYPES
from reservation_worker.simulator.neighbours.reservations import camel_case

# payment-sim-api knows the payment, not the seats.
_UNKNOWN_TO_PAYMENTS = frozenset({"event_id", "qty", "seat_ids"})


def variants(event: Mapping[str, Any]) -> dict[str, str]:
    """The bodies by the variant's name, `canonical` first; only variants of the event's type.

    All have the same facts, except that `payment_status` has no event_id, qty or seats.
    """
    kind, detail = BY_TYPE[event["type"]], event["detail"]
    name = kind.event_type
    bodies = {
        "canonical": event,
        "eventbridge": _eventbridge(event, name, detail),
        "camel_case": {**event, "detail": _camel_case(detail)},
        "flat": {"type": name, **_trace(event), **_camel_case(detail)},
        "sns": _sns(event),
        "nested": _eventbridge(event, name, event),
    }
    for alias in kind.value.aliases:
        if "." in alias:
            bodies["legacy_type"] = {**event, "type": alias}
        else:
            bodies["pascal_case"] = _eventbridge(event, alias, detail)
    if kind.value.payment_statuses:
        bodies["payment_status"] = _payment_status(event, kind.value.payment_statuses[0], detail)
    return {name: json.dumps(body) for name, body in bodies.items()}


def _eventbridge(
    event: Mapping[str, Any], detail_type: str, detail: Mapping[str, Any]
) -> dict[str, Any]:
    """EventBridge's envelope has no place for a trace_id: it travels in the detail."""
    kept = {k: event[k] for k in ("id", "source", "account", "time", "region") if k in event}
    return {
        "version": "0",
        **kept,
        "detail-type": detail_type,
        "resources": [],
        "detail": {**_trace(event), **detail},
    }


def _payment_status(
    event: Mapping[str, Any], status: str, detail: Mapping[str, Any]
) -> dict[str, Any]:
    known = {key: value for key, value in detail.items() if key not in _UNKNOWN_TO_PAYMENTS}
    if "payment_intent_id" in known:
        known["payment_id"] = known.pop("payment_intent_id")
    known |= {"event_type": PAYMENT_STATUS_TYPES[1], "status": status}
    if "time" in event:
        known["timestamp"] = int(datetime.fromisoformat(event["time"]).timestamp())
    return _eventbridge(event, PAYMENT_STATUS_TYPES[0], known)


def _sns(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Type": "Notification",
        "MessageId": event.get("id"),
        "TopicArn": "arn:aws:sns:ap-northeast-2:137406935518:reservation-events",
        "Message": json.dumps(event),
        "Timestamp": event.get("time"),
    }


def _camel_case(detail: Mapping[str, Any]) -> dict[str, Any]:
    return camel_case({"quantity" if k == "qty" else k: value for k, value in detail.items()})


def _trace(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in ("trace_id", "traceparent") if name in event}
