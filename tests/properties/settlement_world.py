"""Both neighbours as a model: the state of one reservation, and its faults so far.

Plain tuples all the way down, because there are hundreds of thousands of states to be hashed.
"""

from itertools import product
from typing import Any, NamedTuple

SHOW, QTY = "concert", 2
FINAL = ("CONFIRMED", "CANCELLED", "EXPIRED")

Call = tuple[str | None, ...]
Answer = tuple[Any, ...]
LOST: Answer = ("lost",)
"""No answer to a call, or one that may pass."""
REFUSED: Answer = ("refused",)
"""A no for good."""


class Shape(NamedTuple):
    """How this deployment of the neighbours behaves."""

    numbered: bool  # seats, or general admission
    state_in_409: bool  # or only a GET has the state
    keyed: bool  # the first answer to a PATCH's key is repeated, or the state decides anew
    facts: bool  # the events bring the seats, or only a GET does
    hold_lost: bool = False  # inventory's own clean-up gave the places to others
    today: bool = False  # the neighbours that run now: docs/contract.md#inventory


class World(NamedTuple):
    """One reservation, in one moment. `ours` is what inventory has for it, `free` for anybody."""

    status: str = "HOLD"
    payment: str | None = None
    patched: frozenset[tuple[str, Answer]] = frozenset()  # the answers by key
    ours: str = "held"  # held, sold, or gone
    free: int = 0
    keys: frozenset[str] = frozenset()  # of inventory
    sent: frozenset[Call] = frozenset()
    wrong: frozenset[str] = frozenset()
    late: bool = False  # so much later that inventory has forgotten its keys
    overturned: bool = False  # reservation-api took the confirmation back

    def take(self, shape: Shape, call: Call) -> tuple["World", Answer]:
        """The world after a call took effect, and the answer."""
        match call:
            case ("PATCH", status, payment):
                return self._patch(shape, status, payment)
            case ("GET",):
                seats = ("A1", "A2") if shape.numbered else ()
                return self, (self.status, SHOW, seats, QTY, self.payment)
            case ("release",):
                return self._release(shape)
            case ("commit", payment):
                return self._commit(shape, payment)
        raise AssertionError(f"there is no call {call}")

    def send(self, shape: Shape, call: Call) -> "World":
        """The world with a call on its way; those that can do nothing any more are left out."""
        world = self._replace(sent=frozenset())
        live = (sent for sent in self.sent | {call} if world.take(shape, sent)[0] != world)
        return self._replace(sent=frozenset(live))

    def _patch(self, shape: Shape, status: str, payment: str | None) -> tuple["World", Answer]:
        stored = dict(self.patched)
        if status in stored:
            return self, stored[status]
        world = self
        if self.status == "HOLD":
            world = self._replace(status=status, payment=payment)
            answer: Answer = (True, status, payment)
        else:
            answer = (
                (False, self.status, self.payment) if shape.state_in_409 else (False, None, None)
            )
        if shape.keyed:
            world = world._replace(patched=self.patched | {(status, answer)})
        return world, answer

    def _release(self, shape: Shape) -> tuple["World", Answer]:
        if "release" in self.keys:
            return self, ()
        if shape.numbered and self.ours == "gone":
            # No row carries our id any more: today's inventory answers that like a failure.
            return (self, LOST) if shape.today else (self._with_key("release"), ())
        world = self._with_key("release")
        world = world._replace(ours="gone", free=self.free + QTY).blame(
            ("freed after it was sold", self.ours == "sold" and not self.overturned),
            ("freed what it did not hold", self.ours == "gone" and not shape.hold_lost),
            ("freed before the arbiter said so", self.status not in ("EXPIRED", "CANCELLED")),
        )
        return world, ()

    def _commit(self, shape: Shape, payment: str | None) -> tuple["World", Answer]:
        if "commit" in self.keys:
            return self, ("ord_1",)
        if shape.hold_lost:
            return self, REFUSED
        if shape.today and self.ours != "held":
            return self, LOST  # a conflict, in whatever words
        world = self._with_key("commit")
        world = world._replace(ours="sold").blame(
            ("sold to us and to another, or twice to us", self.ours != "held"),
            ("sold before the arbiter said so", self.status != "CONFIRMED" and not self.overturned),
            ("sold for a payment that did not confirm it", self.payment != payment),
        )
        return world, ("ord_1",)

    def later(self) -> "World":
        """After inventory has forgotten its keys; no call stays on its way for so long."""
        return self._replace(late=True, keys=frozenset(), sent=frozenset())

    def overturn(self) -> "World":
        """After the confirmed reservation was cancelled."""
        return self._replace(status="CANCELLED", overturned=True)

    def _with_key(self, key: str) -> "World":
        return self._replace(keys=self.keys | {key})

    def blame(self, *checks: tuple[str, bool]) -> "World":
        """Add faults; they stay."""
        return self._replace(wrong=self.wrong.union(text for text, bad in checks if bad))


SHAPES = [Shape(*flags) for flags in product([False, True], repeat=4)]
# Any three of the four flags are there in every combination.
HALF_OF_THE_SHAPES = [shape for shape in SHAPES if sum(shape) % 2 == 0]
HOLD_LOST = [shape._replace(hold_lost=True) for shape in SHAPES]
TODAY = [
    Shape(numbered, state_in_409=True, keyed=False, facts=facts, today=True)
    for numbered, facts in product([False, True], repeat=2)
]
