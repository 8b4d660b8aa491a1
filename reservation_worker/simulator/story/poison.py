"""Bodies that can never be parsed, of every known sort."""

import json
from typing import Any

_BIG = 200_000


def _event(**detail: Any) -> str:
    return json.dumps({"type": "reservation.expired", "detail": detail})


def _raw_qty(literal: str) -> str:
    return _event(reservation_id="rsv_poison", event_id="e", qty=0).replace(
        '"qty": 0', f'"qty": {literal}'
    )


def poison_bodies() -> tuple[tuple[str, str], ...]:
    """Name and body. SQS takes all of them; it refuses empty bodies and most control characters."""
    known = {"reservation_id": "rsv_poison", "event_id": "evt_poison"}
    ids = ("../../admin", "a/b?x=1", "rsv%2f..", "rsv 1\nINFO forged", "r" * 129, "-rsv", "rsv_é")
    return (
        ("blank", "   "),
        ("text", "hello, worker"),
        ("html", "<html><body>502 Bad Gateway</body></html>"),
        ("truncated", _event(**known)[:-9]),
        ("list", "[]"),
        ("number", "42"),
        ("string", '"reservation.expired"'),
        ("null", "null"),
        ("empty object", "{}"),
        ("byte order mark", "\ufeff" + json.dumps({"type": "no.such.type"})),
        ("unknown type", json.dumps({"type": "seat.exploded", "detail": known})),
        ("type is a number", json.dumps({"type": 7, "detail": known})),
        ("no type", json.dumps({"detail": known})),
        ("no reservation_id", _event(event_id="evt_poison", qty=1)),
        ("reservation_id is a number", _event(reservation_id=4711)),
        ("reservation_id is a list", _event(reservation_id=["rsv_poison"])),
        ("detail is text", json.dumps({"type": "payment.failed", "detail": "rsv_poison"})),
        ("lone surrogate", _event(reservation_id="rsv_\ud800")),
        ("qty is 0", _event(**known, qty=0)),
        ("qty is negative", _event(**known, qty=-2)),
        ("qty is text", _event(**known, qty="2")),
        ("qty is a fraction", _event(**known, qty=1.5)),
        ("qty beyond int32", _event(**known, qty=2**31)),
        ("qty of 5,000 digits", _raw_qty("9" * 5000)),
        ("qty is NaN", _raw_qty("NaN")),
        ("seat_ids is text", _event(**known, seat_ids="A1,A2")),
        ("a seat is a number", _event(**known, seat_ids=["A1", 2])),
        ("a seat is a lone surrogate", _event(**known, seat_ids=["\udfff"])),
        ("event_id is an object", _event(reservation_id="rsv_poison", event_id={"id": 1})),
        (
            "unknown payment status",
            json.dumps(
                {
                    "detail-type": "Payment Status Updated",
                    "detail": {
                        **known,
                        "payment_id": "pay_poison",
                        "status": "PAYMENT_STATUS_MAYBE",
                    },
                }
            ),
        ),
        ("SNS around nonsense", json.dumps({"Type": "Notification", "Message": "not an event"})),
        ("nested 100,000 deep", "[" * 100_000),
        ("objects in objects", '{"detail":' * 20_000),
        ("200 kB of x", "x" * _BIG),
        *((f"id {value!r:.20}", _event(reservation_id=value, qty=1)) for value in ids),
    )
