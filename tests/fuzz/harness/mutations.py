"""Bodies that no producer meant to send: mutated real ones, each with the answer it must get.

`mutant` draws from any random.Random, a seeded one or Hypothesis's own. The expected answer follows
from docs/contract.md#events and from the mutation of a sound event: the parser is never asked.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from reservation_worker.simulator.neighbours.reservations import Record
from tests.fuzz.harness import fields, texts, wild
from tests.fuzz.harness.drafts import Table, draft

EVENT, IGNORED, INVALID, ANY = "event", "ignored", "invalid", "any"
"""The kinds of answer; ANY: only the promises for every input are known."""

_ALLOWED = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
# Of SQS's 1 MiB, a dead letter's own attributes need some.
_MOST_BYTES = 1024 * 1024 - 4096
_HINTS = [
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-0-0-0",
    "x" * 300,
    "é",
    " ",
]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A body; for a known EVENT its `facts` and the reservation that its settlement needs.

    `attributes` are those of the message, which are for the trace alone.
    """

    name: str
    body: str | bytes
    expected: str
    reservation_id: str = ""
    facts: Mapping[str, Any] | None = None
    record: Record | None = None
    attributes: tuple[tuple[str, str], ...] = ()

    @property
    def carriable(self) -> bool:
        """Whether SQS takes it."""
        return (
            isinstance(self.body, str)
            and _ALLOWED.fullmatch(self.body) is not None
            and len(self.body.encode()) <= _MOST_BYTES
        )


Maker = Callable[[Random, int], Mutant]


def sns(text: str) -> str:
    """In the envelope of a topic without raw delivery."""
    return json.dumps({"Type": "Notification", "Message": text})


def mutants(seed: int) -> Iterator[Mutant]:
    """An endless sequence, the same for a seed; each has another reservation and show."""
    number = 0
    while True:
        number += 1
        yield mutant(Random(f"{seed} {number}"), number)


def mutant(dice: Random, number: int = 1) -> Mutant:
    """The next body."""
    made = dice.choice(_MAKERS)(dice, number)
    if isinstance(made.body, str) and len(made.body) < 200_000 and dice.randrange(10) == 0:
        made = replace(made, body=sns(made.body))
    if dice.randrange(8) == 0:
        hint = (dice.choice(("traceparent", "TraceId")), dice.choice(_HINTS))
        made = replace(made, attributes=(hint,))
    return made


def _fields(table: Table, expected: str) -> Maker:
    def make(dice: Random, number: int) -> Mutant:
        name, harm, variants = dice.choice(table)
        it = draft(dice, number, variants)
        for _ in range(dice.randrange(3)):
            _, neutral, fits = dice.choice(fields.NEUTRAL)
            if not fits or it.variant in fits:
                neutral(it)
        harm(it)
        known = expected == EVENT
        return Mutant(
            name,
            it.text(),
            expected,
            it.facts["reservation_id"] or "",
            it.facts if known else None,
            it.record() if known else None,
        )

    return make


def _texts(table: Mapping[str, texts.Harm], expected: str) -> Maker:
    names = tuple(table)

    def make(dice: Random, number: int) -> Mutant:
        name = dice.choice(names)
        return Mutant(name, table[name](dice, draft(dice, number).text()), expected)

    return make


# How many of a few hundred are made how.
_SHARES: Sequence[tuple[int, Maker]] = (
    (20, _fields(fields.NEUTRAL, EVENT)),
    (36, _fields(fields.CHANGING, EVENT)),
    (8, _fields(fields.IGNORED, IGNORED)),
    (52, _fields(fields.INVALID, INVALID)),
    (32, _fields(wild.WILD, ANY)),
    (28, _texts(texts.INVALID, INVALID)),
    (22, _texts(texts.WILD, ANY)),
    (1, _fields(wild.LARGE_UNUSED, EVENT)),
    (1, _fields(wild.LARGE_USED, EVENT)),
    (1, _fields(wild.LARGE_INVALID, INVALID)),
)
_MAKERS = tuple(make for share, make in _SHARES for _ in range(share))
