"""Builds the demo's scenario: reservations to seed, messages to publish, expected ends. Pure.

The messages of one reservation make a *tale*. Every tale comes once and the rest is drawn by
weight, so that a small scenario has them all.
"""

import itertools
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reservation_worker.events.kinds import BY_PAYMENT_STATUS, Kind
from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.story.poison import poison_bodies
from reservation_worker.simulator.story.samples import event
from reservation_worker.simulator.story.variants import variants

EXPIRED, APPROVED, FAILED = (kind.label for kind in (Kind.EXPIRED, Kind.APPROVED, Kind.FAILED))
NOTHING, POISON = "nothing", "poison"

_KINDS = {kind.label: kind for kind in Kind} | {NOTHING: Kind.APPROVED}
_STATUSES = {kind.label: kind.value.payment_statuses for kind in Kind} | {
    NOTHING: tuple(status for status, kind in BY_PAYMENT_STATUS.items() if kind is None)
}
_WEIGHTS = {Kind.EXPIRED: 32, Kind.APPROVED: 33, Kind.FAILED: 14}
_ONE_COPY_IN = 20
_SHOWS = 8


@dataclass(frozen=True, slots=True)
class Step:
    """One message of a tale: its kind, its payment (first or second), its phase."""

    kind: str
    payment: int = 1
    phase: int = 0


@dataclass(frozen=True, slots=True)
class Tale:
    """The messages of a reservation that starts as `state`, and its possible `ends`."""

    name: str
    weight: int
    steps: tuple[Step, ...]
    ends: frozenset[str] = frozenset()
    state: str = "HOLD"


def _tale(name: str, weight: int, ends: str, *steps: Step, state: str = "HOLD") -> Tale:
    return Tale(name, weight, steps, frozenset(ends.split()), state)


TALES = (
    *(
        _tale(kind.label, _WEIGHTS.get(kind, 5), kind.value.target, Step(kind.label))
        for kind in Kind
    ),
    _tale("approved, expired", 2, "CONFIRMED EXPIRED", Step(APPROVED), Step(EXPIRED)),
    _tale("expired, approved", 2, "CONFIRMED EXPIRED", Step(EXPIRED), Step(APPROVED)),
    _tale("failed, expired", 2, "CANCELLED EXPIRED", Step(FAILED), Step(EXPIRED)),
    _tale("expired, failed", 2, "CANCELLED EXPIRED", Step(EXPIRED), Step(FAILED)),
    _tale("approved too late", 1, "EXPIRED", Step(APPROVED), state="EXPIRED"),
    _tale("approved after the expiry", 1, "EXPIRED", Step(EXPIRED), Step(APPROVED, phase=1)),
    _tale("paid again", 1, "CONFIRMED", Step(APPROVED, payment=2), state="CONFIRMED"),
    _tale("paid twice", 1, "CONFIRMED", Step(APPROVED), Step(APPROVED, payment=2, phase=1)),
    _tale("nothing to do", 3, "HOLD", Step(NOTHING)),
    _tale("poison", 6, "", Step(POISON)),
)


@dataclass(frozen=True, slots=True)
class Message:
    """A message to publish. Messages of phase 1 wait until phase 0 is settled."""

    body: str
    tale: str
    kind: str
    variant: str
    reservation_id: str = ""
    payment_intent_id: str = ""
    phase: int = 0
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """The seeds, the messages in order, and the states in which each reservation may end."""

    seeds: tuple[Record, ...]
    pools: Mapping[str, int]
    messages: tuple[Message, ...]
    expected: Mapping[str, frozenset[str]]

    def phase(self, number: int) -> list[Message]:
        """The messages of one phase, in order."""
        return [message for message in self.messages if message.phase == number]


def build(events: int = 1000, seed: int = 0, general_admission: float = 0.15) -> Scenario:
    """A scenario of exactly `events` messages; the same seed makes the same one.

    `general_admission` is the share of reservations without numbered seats.
    """
    if events < 1:
        raise ValueError("a scenario needs at least one event")
    builder = _Builder(random.Random(seed), general_admission)
    copies = events // _ONE_COPY_IN
    for tale in builder.tales(events - copies):
        builder.add(tale)
    messages = builder.messages
    # From the back, so that the remaining positions stay valid.
    for place in sorted(builder.random.sample(range(len(messages)), copies), reverse=True):
        later = builder.random.randint(place + 1, len(messages))
        messages.insert(later, messages[place])
    return Scenario(tuple(builder.seeds), builder.pools, tuple(messages), builder.expected)


class _Builder:
    """Collects seeds and messages, tale by tale."""

    def __init__(self, generator: random.Random, general_admission: float) -> None:
        self.random = generator
        self._general_admission = general_admission
        self.seeds: list[Record] = []
        self.pools: dict[str, int] = {}
        self.messages: list[Message] = []
        self.expected: dict[str, frozenset[str]] = {}
        self._poison = itertools.cycle(poison_bodies())
        self._turns = {kind: itertools.count() for kind in _KINDS}

    def tales(self, messages: int) -> Iterator[Tale]:
        """Tales with exactly so many messages in all."""
        first = list(TALES)
        while messages:
            fitting = [tale for tale in first or TALES if len(tale.steps) <= messages]
            if not first:
                fitting = self.random.choices(fitting, [tale.weight for tale in fitting])
            if not fitting:
                first = []
                continue
            tale = fitting[0]
            first = [other for other in first if other is not tale]
            messages -= len(tale.steps)
            yield tale

    def add(self, tale: Tale) -> None:
        """Seed the reservation and add the messages."""
        if tale.steps[0].kind == POISON:
            variant, body = next(self._poison)
            self.messages.append(Message(body, tale.name, POISON, variant))
            return
        number = len(self.seeds) + 1
        record = Record(
            f"rsv_{number:06}",
            status=tale.state,
            user_id=f"user_{number}",
            payment_intent_id=f"pay_{number}_1" if tale.state == "CONFIRMED" else None,
            **self._places(number),
        )
        self.seeds.append(record)
        self.expected[record.reservation_id] = tale.ends
        if not record.seat_ids:
            # Exactly as many places as are reserved, so that one oversold place shows.
            self.pools[record.event_id] = self.pools.get(record.event_id, 0) + record.quantity
        for step in tale.steps:
            self.messages.append(self._message(tale, step, record, f"pay_{number}_{step.payment}"))

    def _places(self, number: int) -> dict[str, Any]:
        count = self.random.randint(1, 4)
        show = self.random.randint(1, _SHOWS)
        if self.random.random() < self._general_admission:
            return {"event_id": f"evt_general_{show}", "quantity": count}
        seats = tuple(f"{number}{letter}" for letter in "ABCD"[:count])
        return {"event_id": f"evt_hall_{show}", "seat_ids": seats}

    def _message(self, tale: Tale, step: Step, record: Record, payment: str) -> Message:
        bodies = variants(self._event(step.kind, record, payment))
        if step.kind == NOTHING:
            bodies = {"payment_status": bodies["payment_status"]}
        variant = list(bodies)[next(self._turns[step.kind]) % len(bodies)]
        body = bodies[variant]
        if variant == "payment_status":
            body = self._with_status(body, step.kind)
        return Message(
            body,
            tale.name,
            step.kind,
            variant,
            record.reservation_id,
            payment if "payment_intent_id" in _KINDS[step.kind].value.sample else "",
            step.phase,
            self._attributes(),
        )

    def _event(self, kind: str, record: Record, payment: str) -> dict[str, Any]:
        return event(
            _KINDS[kind].event_type,
            record,
            payment,
            with_seats=self.random.random() < 0.9,
            identity=f"evt_{self._hex(32)}",
            trace_id=self._hex(32) if self.random.random() < 0.5 else "trace_abc",
        )

    def _with_status(self, body: str, kind: str) -> str:
        update = json.loads(body)
        update["detail"]["status"] = self.random.choice(_STATUSES[kind])
        return json.dumps(update)

    def _attributes(self) -> tuple[tuple[str, str], ...]:
        draw = self.random.random()
        if draw < 0.3:
            return (("traceparent", f"00-{self._hex(32)}-{self._hex(16)}-01"),)
        return (("TraceId", self._hex(32)),) if draw < 0.4 else ()

    def _hex(self, digits: int) -> str:
        return f"{self.random.getrandbits(digits * 4) | 1:0{digits}x}"
