"""`dlq compensations`: customers who paid and have no seat, for the people who refund."""

import argparse
import csv
import json
import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from reservation_worker.cli import streams
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.dlq.show import state_now
from reservation_worker.cli.dlq.states import ask
from reservation_worker.cli.text import cell
from reservation_worker.errors import InvalidEvent
from reservation_worker.events.envelopes import detail_of, read_object, unwrap
from reservation_worker.events.parse import Event
from reservation_worker.outcome import DeadLetterReason

COMPENSATION = "compensation"
UNSETTLED = "unsettled payment"


@dataclass(slots=True)
class Due:
    """One payment to be decided on; None where the event does not have it.

    `case` is COMPENSATION, or UNSETTLED for a payment that only ran out of tries: a redrive may
    still settle it. `now` is the reservation's state.
    """

    case: str
    reservation_id: str | None
    payment_intent_id: str | None
    amount: int | float | str | None
    currency: str | None
    user_id: str | None
    first_seen: str
    dlq_error: str | None
    copies: int
    message_id: str
    age_seconds: int
    now: str


def run(args: argparse.Namespace, desk: Desk) -> None:
    """Print them."""
    rows = due(desk.letters(), time.time())
    states = ask(args.settings, (row.reservation_id for row in rows), desk.check)
    for row in rows:
        row.now = state_now(states.get(row.reservation_id))
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    out = csv.writer(streams.output(), lineterminator="\n")
    out.writerow(field.name for field in fields(Due))
    for row in rows:
        out.writerow(cell(one) if isinstance(one, str) else one for one in asdict(row).values())


def due(letters: Iterable[Letter], now: float) -> list[Due]:
    """A row for each reservation and payment, compensations first, the first seen first.

    Without a payment_intent_id only copies of one message share a row, so that no payment is
    hidden. `now` is in Unix seconds.
    """
    found: dict[tuple[object, ...], Due] = {}
    wanted = [(case, letter) for letter in letters if (case := _case(letter))]
    for case, letter in sorted(wanted, key=lambda one: (one[0] != COMPENSATION, one[1].since)):
        row = _row(case, letter, now)
        key = (row.reservation_id, row.payment_intent_id or letter.origin)
        found.setdefault(key, row).copies += 1
    return list(found.values())


def _case(letter: Letter) -> str | None:
    if letter.reason == DeadLetterReason.COMPENSATION_REQUIRED:
        return COMPENSATION
    paid = isinstance(letter.event, Event) and letter.event.kind.value.money_taken
    return UNSETTLED if paid else None


def _row(case: str, letter: Letter, now: float) -> Due:
    event = letter.event if isinstance(letter.event, Event) else None
    detail = _detail(letter.body)
    amount: Any = detail.get("amount")
    currency = detail.get("currency")
    usable = isinstance(amount, str) or (type(amount) in (int, float) and math.isfinite(amount))
    return Due(
        case,
        letter.reservation_id,
        event.payment_intent_id if event else None,
        amount if usable else None,
        currency if isinstance(currency, str) else None,
        event.user_id if event else None,
        datetime.fromtimestamp(letter.since, UTC).isoformat(timespec="seconds"),
        letter.text("dlq_error"),
        0,
        letter.id,
        round(now - letter.since),
        "",
    )


def _detail(body: str) -> dict[str, Any]:
    """The event's detail, from whichever envelope has it."""
    try:
        return detail_of(unwrap(read_object(body, "the body"))[-1])
    except InvalidEvent:
        return {}
