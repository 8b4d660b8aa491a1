"""A real body taken apart, so that a mutation applies to every variant."""

import copy
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.story.scenario import NOTHING, build
from reservation_worker.simulator.story.variants import variants
from tests.fuzz.harness.words import NAMES, TYPES

_KINDS = {names[0]: kind for kind, names in TYPES.items()}
# The key a second time in one object; a number as it stands in the body: json writes neither.
_AGAIN = re.compile(r'"@again:')
_RAW = re.compile(r'"@raw:([^"@]*)@"')
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"')


def _sound_events() -> dict[str, list[dict[str, Any]]]:
    """Canonical events of the demo's story, by each variant in which they can be sent."""
    found: dict[str, list[dict[str, Any]]] = {}
    for message in build(400, 0).messages:
        if message.variant == "canonical" and message.kind != NOTHING:
            event = json.loads(message.body)
            for name in variants(event):
                found.setdefault(name, []).append(event)
    return found


_SOUND = _sound_events()
VARIANTS = tuple(_SOUND)


@dataclass(slots=True)
class Draft:
    """`event` has the type, `detail` has the fields, `root` is the whole body.

    `facts` are the event's facts for the settlement, `truth` is reservation-api's record.
    """

    dice: Random
    number: int
    variant: str
    root: dict[str, Any]
    event: dict[str, Any]
    detail: dict[str, Any]
    facts: dict[str, Any]
    truth: Record
    # The SNS envelope's message must no longer be made from `event`.
    sealed: bool = False

    def names(self, field: str) -> list[str]:
        """The possible names of a field: payment_id is only payment-sim-api's."""
        own = self.variant == "payment_status"
        return [name for name in NAMES[field] if own or name != "payment_id"]

    def key(self, field: str) -> str:
        """The field's name in this body."""
        has = (name for name in self.names(field) if self.detail.get(name) not in (None, ""))
        return next(has, NAMES[field][0])

    def type_key(self) -> str:
        """The key of the type."""
        return "type" if "type" in self.event else "detail-type"

    def layer(self) -> dict[str, Any]:
        """Any of its objects."""
        return self.dice.choice([self.root, self.event, self.detail])

    def put(self, field: str, values: Sequence[Any]) -> None:
        """One of the values becomes the field's."""
        self.detail[self.key(field)] = self.dice.choice(values)

    def lack(self, field: str) -> None:
        """The field is absent, and that is a fact."""
        absent(self.dice, self.detail, self.key(field))
        self.facts[field] = None

    def say(self, field: str, value: Any) -> None:
        """Change the body, and the facts with it."""
        self.detail[self.key(field)] = value
        self.facts[field] = tuple(value) if isinstance(value, list) else value

    def text(self) -> str:
        """The body."""
        if self.variant == "sns" and not self.sealed:
            self.root["Message"] = dumps(self.dice, self.event)
        return dumps(self.dice, self.root)

    def record(self) -> Record:
        """What reservation-api has to know, so that the event can be settled."""
        seats = self.facts["seat_ids"]
        return Record(
            self.facts["reservation_id"],
            self.facts["event_id"] or self.truth.event_id,
            self.truth.seat_ids if seats is None else seats,
            self.facts["qty"] or self.truth.quantity,
        )


Harm = Callable[[Draft], object]
Table = list[tuple[str, Harm, Sequence[str]]]
"""Name, mutation, and its variants (none: all)."""


def done(table: Table, *variants: str) -> Callable[[Harm], Harm]:
    """Adds a mutation to its table, under its name with spaces."""

    def add(harm: Harm) -> Harm:
        table.append((harm.__name__.replace("_", " "), harm, variants))
        return harm

    return add


def draft(dice: Random, number: int, only: Sequence[str] = ()) -> Draft:
    """A sound body in one of the variants, with another reservation and show."""
    variant = dice.choice(only or VARIANTS)
    event = copy.deepcopy(dice.choice(_SOUND[variant]))
    detail = event["detail"]
    detail["reservation_id"] = f"fuzz_{number}"
    if "event_id" in detail:
        detail["event_id"] = f"evt_fuzz_{number}"
    facts = {name: detail.get(name) for name in NAMES}
    facts |= {"kind": _KINDS[event["type"]], "warned": False}
    facts["seat_ids"] = tuple(detail["seat_ids"]) if "seat_ids" in detail else None
    truth = Record(
        detail["reservation_id"],
        f"evt_fuzz_{number}",
        ("A1",) if facts["seat_ids"] is None else facts["seat_ids"],
        detail.get("qty", 1),
    )
    if variant == "payment_status":
        facts |= {"event_id": None, "qty": None, "seat_ids": None}
    root = json.loads(variants(event)[variant])
    inner = json.loads(root["Message"]) if variant == "sns" else root
    inner = root["detail"] if variant == "nested" else inner
    return Draft(dice, number, variant, root, inner, inner.get("detail", inner), facts, truth)


def absent(dice: Random, layer: dict[str, Any], key: str) -> None:
    """In one of the three ways: null and "" count as absent."""
    way = dice.randrange(3)
    layer[key] = (None, "", None)[way]
    if way == 2:
        del layer[key]


def dumps(dice: Random, value: Any) -> str:
    """JSON in one of the ways in which the same value can be written."""
    style = dice.randrange(7)
    text = json.dumps(
        _shuffled(dice, value) if style == 1 else value,
        indent=style if style in (2, 3) else None,
        separators=(",", ":") if style == 4 else None,
        ensure_ascii=style != 5,
    )
    if style == 5 and re.search("[\ud800-\udfff]", text):
        text = json.dumps(value)  # a lone surrogate is JSON only as an escape
    if '"@' in text:
        text = _AGAIN.sub('"', _RAW.sub(r"\1", text))
    return _TOKEN.sub(_escaped, text) if style == 6 and len(text) < 20_000 else text


def _escaped(token: re.Match[str]) -> str:
    inside = token[0][1:-1]
    if "\\" in inside or not inside.isascii():
        return token[0]
    return '"' + "".join(f"\\u{ord(letter):04x}" for letter in inside) + '"'


def _shuffled(dice: Random, value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    keys = list(value)
    dice.shuffle(keys)
    return {key: _shuffled(dice, value[key]) for key in keys}
