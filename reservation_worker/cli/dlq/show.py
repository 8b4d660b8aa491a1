"""`dlq show ID`: all of one message, and its reservation's state now."""

import argparse
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from reservation_worker.cli import terminal
from reservation_worker.cli.dlq import exports
from reservation_worker.cli.dlq.choosing import no_message
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.forecast import forecast
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.dlq.states import State, ask
from reservation_worker.cli.text import visible
from reservation_worker.errors import OperationError


def run(args: argparse.Namespace, desk: Desk) -> None:
    """Print it and the ids of its copies. Raises OperationError if it is not there."""
    letter = None
    ids: dict[tuple[str, bytes], list[str]] = {}
    for one in desk.letters():
        ids.setdefault(one.origin, []).append(one.id)
        if one.id == args.id or (letter is None and one.source_id == args.id):
            letter = one
    if letter is None:
        raise OperationError(no_message(desk, args.id))
    state = ask(args.settings, [letter.reservation_id]).get(letter.reservation_id)
    copies = [one for one in ids[letter.origin] if one != letter.id]
    if args.json:
        print(json.dumps(_as_dict(letter, copies, state), indent=2))
        return
    console = terminal.stdout()
    for text in (*lines(letter, copies, state), "body", body_text(letter.body)):
        console.print(Text(text), soft_wrap=True)


def lines(letter: Letter, copies: list[str], state: State | None) -> list[str]:
    """Everything but the body, a line each; `copies` are ids."""
    rows = {
        "message id": letter.id,
        "source id": letter.source_id,
        "copies": ", ".join(copies) or "none",
        "sent": _time(letter.sent_at),
        "received": f"{letter.receive_count} times",
        "reason": letter.reason,
        "error": letter.text("dlq_error") or "-",
        "type": letter.type,
        "reservation": letter.reservation_id or "-",
        "now": state_now(state),
    }
    if letter.moved_from:
        rows["moved from"] = letter.moved_from
    if isinstance(letter.event, Exception):
        rows["invalid"] = str(letter.event)
    predicted = forecast(letter.event, state)
    rows["if redriven"] = f"{predicted.fate}: {predicted.text}"
    if predicted.quantity_release:
        rows["if redriven"] += " (by quantity: left out unless --include-quantity-releases)"
    shown = [f"{name:<12} {visible(value)}" for name, value in rows.items()]
    if letter.trace_header:
        shown.append(f"{'trace':<12} {visible(letter.trace_header)}")
    shown.append("attributes")
    for name, value in sorted(letter.attributes.items()):
        text = value.get("StringValue")
        data = f"{value.get('BinaryValue', b'').hex()} (hex)" if text is None else visible(text)
        shown.append(f"  {visible(name)} ({visible(value.get('DataType', ''))})  {data}")
    return shown


def _as_dict(letter: Letter, copies: list[str], state: State | None) -> dict[str, Any]:
    return exports.as_dict(letter) | {
        "source_id": letter.source_id,
        "copies": copies,
        "reason": letter.reason,
        "type": letter.type,
        "reservation_id": letter.reservation_id,
        "now": state_now(state),
        "if_redriven": asdict(forecast(letter.event, state)),
    }


def state_now(state: State | None) -> str:
    """A reservation's state in a few words."""
    if state is None:
        return "-"
    if state.error is not None:
        return f"not known: {state.error}; check RESERVATION_API_BASE"
    if state.reservation is None:
        return "reservation-api does not know it"
    paid = state.reservation.payment_intent_id
    return f"{state.reservation.status or 'no state'}{f', paid by {paid}' if paid else ''}"


def body_text(body: str) -> str:
    """JSON indented, anything else as it is; only line breaks of ours act."""
    try:
        value = json.loads(body, object_pairs_hook=_without_twins)
        text = json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = body
    return visible(text, keep="\n")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key that is there twice would be shown once")
    return dict(pairs)


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
