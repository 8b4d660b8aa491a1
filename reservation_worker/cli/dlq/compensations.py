"""`dlq compensations`: who paid and has no seat, for the people who refund."""

import argparse
import csv
import json
import math
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.dlq.text import cell
from reservation_worker.errors import InvalidEvent
from reservation_worker.events.envelopes import detail_of, read_object, unwrap
from reservation_worker.events.parse import Event
from reservation_worker.outcome import DeadLetterReason


@dataclass(slots=True)
class Due:
    """One refund to be decided on. What the event does not say is None."""

    reservation_id: str | None
    payment_intent_id: str | None
    amount: int | float | str | None
    currency: str | None
    user_id: str | None
    first_seen: str
    dlq_error: str | None
    copies: int
    message_id: str


def run(args: argparse.Namespace, desk: Desk) -> int:
    """Print them."""
    rows = due(desk.letters())
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return 0
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(field.name for field in fields(Due))
    for row in rows:
        out.writerow(cell(one) if isinstance(one, str) else one for one in asdict(row).values())
    return 0


def due(letters: Iterable[Letter]) -> list[Due]:
    """One for each reservation and payment, the first seen first.

    Without a payment_intent_id only copies of one message are one, so that no payment is hidden.
    """
    found: dict[tuple[object, ...], Due] = {}
    wanted = (one for one in letters if one.reason == DeadLetterReason.COMPENSATION_REQUIRED)
    for letter in sorted(wanted, key=lambda one: one.since):
        row = _row(letter)
        key = (row.reservation_id, row.payment_intent_id or letter.origin)
        found.setdefault(key, row).copies += 1
    return list(found.values())


def _row(letter: Letter) -> Due:
    event = letter.event if isinstance(letter.event, Event) else None
    detail = _detail(letter.body)
    amount: Any = detail.get("amount")
    currency = detail.get("currency")
    usable = isinstance(amount, str) or (type(amount) in (int, float) and math.isfinite(amount))
    return Due(
        letter.reservation_id,
        event.payment_intent_id if event else None,
        amount if usable else None,
        currency if isinstance(currency, str) else None,
        event.user_id if event else None,
        datetime.fromtimestamp(letter.since, UTC).isoformat(timespec="seconds"),
        letter.text("dlq_error"),
        0,
        letter.id,
    )


def _detail(body: str) -> dict[str, Any]:
    """What the event says of the payment, wherever its envelopes have it."""
    try:
        return detail_of(unwrap(read_object(body, "the body"))[-1])
    except InvalidEvent:
        return {}
