"""Invariants 2 and 3 under every interleaving: no seat freed after it was sold, none sold twice,
every effect once; and whoever paid has a seat, or his message says compensation_required.

A small model checker. Handlers are pure functions of the answers they get, so a handler is run one
call at a time by running it anew with the answers so far and stopping it at the next call. Each of
these is a step, and from every state every step is tried:

* a worker makes its message's next call and gets the answer;
* a call is sent, but its worker never hears of it again, and tries the message anew;
* a call that was ever sent takes effect (again): late, or doubled by the network;
* a worker crashes before or after any call, or between the outcome and its delete; the message
  comes again, and so may one that was settled long ago. Workers handle messages of one
  reservation at the same time, copies included;
* another customer takes places that were freed.

Both neighbours are as today's, the known danger included (contract, section 3), and a commit sells
whatever it is asked to: nothing but the handlers' order of calls keeps seats from harm. A 409 or a
GET names the payment of a CONFIRMED reservation, as the contract presumes for second payments.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain, combinations_with_replacement, product
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reservation_worker.clients.ports import Reservation, Seats, StatusAnswer, StatusChange
from reservation_worker.errors import PermanentError, TransientError
from reservation_worker.events.parse import Event, Kind, TraceHints
from reservation_worker.handlers.settlement import HANDLERS, Neighbours
from reservation_worker.outcome import Ack, DeadLetterReason, Outcome, Reject

RID, SHOW, QTY = "rsv_1", "concert", 2
FINAL = ("CONFIRMED", "CANCELLED", "EXPIRED")

Handler = Callable[[Event, Neighbours], Outcome]
Call = tuple[str | None, ...]
Answer = tuple[Any, ...]
LOST: Answer = ("lost",)
"""No answer to a call."""
REFUSED: Answer = ("refused",)
"""A no for good."""
ACK, RETRY = "ack", "retry"
COMPENSATION = DeadLetterReason.COMPENSATION_REQUIRED.value


# The world: both neighbours, in what shape they answer, and what went wrong in it. Plain tuples all
# the way down: there are hundreds of thousands of states to be hashed.


class Shape(NamedTuple):
    """How this deployment of the neighbours behaves."""

    numbered: bool  # seats, or general admission
    told: bool  # a 409 tells the state, or only a GET does
    keyed: bool  # the first answer to a PATCH's key is repeated, or the state decides anew
    facts: bool  # the events bring the seats, or only a GET does
    hold_lost: bool = False  # inventory's own clean-up gave the places to others


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

    def take(self, shape: Shape, call: Call) -> tuple["World", Answer]:
        """The world after a call took effect, and the answer."""
        match call:
            case ("PATCH", status, payment):
                return self._patch(shape, status, payment)
            case ("GET",):
                seats = ("A1", "A2") if shape.numbered else ()
                return self, (self.status, SHOW, seats, QTY, self.payment)
            case ("release",):
                return self._release(shape), ()
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
            answer = (False, self.status, self.payment) if shape.told else (False, None, None)
        if shape.keyed:
            world = world._replace(patched=self.patched | {(status, answer)})
        return world, answer

    def _release(self, shape: Shape) -> "World":
        if "release" in self.keys:
            return self
        world = self._replace(keys=self.keys | {"release"})
        if shape.numbered and self.ours == "gone":
            return world  # no row carries our id any more
        return world._replace(ours="gone", free=self.free + QTY).blame(
            ("freed after it was sold", self.ours == "sold"),
            ("freed what it did not hold", self.ours == "gone" and not shape.hold_lost),
            ("freed before the arbiter said so", self.status not in ("EXPIRED", "CANCELLED")),
        )

    def _commit(self, shape: Shape, payment: str | None) -> tuple["World", Answer]:
        if "commit" in self.keys:
            return self, ("ord_1",)
        if shape.hold_lost:
            return self, REFUSED
        world = self._replace(ours="sold", keys=self.keys | {"commit"}).blame(
            ("sold to us and to another, or twice to us", self.ours != "held"),
            ("sold before the arbiter said so", self.status != "CONFIRMED"),
            ("sold for a payment that did not confirm it", self.payment != payment),
        )
        return world, ("ord_1",)

    def blame(self, *checks: tuple[str, bool]) -> "World":
        """What went wrong once stays."""
        return self._replace(wrong=self.wrong.union(text for text, bad in checks if bad))


# One handler, one call at a time.


class Paused(BaseException):
    """Ends a run at the call that comes next; handlers must not see it."""

    def __init__(self, *call: str | None) -> None:
        self.call: Call = call


@dataclass
class Rerun:
    """The handler's Neighbours: gives the answers so far, in order, then stops the run."""

    answers: list[Answer]

    def _next(self, *call: str | None) -> Answer:
        if not self.answers:
            raise Paused(*call)
        answer = self.answers.pop(0)
        if answer == LOST:
            raise TransientError("no answer")
        if answer == REFUSED:
            raise PermanentError("no")
        return answer

    def update_status(self, change: StatusChange) -> StatusAnswer:
        return StatusAnswer(*self._next("PATCH", change.status, change.payment_intent_id))

    def get(self, reservation_id: str) -> Reservation:
        return Reservation(*self._next("GET"))

    def release(self, seats: Seats, reason: str) -> None:
        assert (seats.event_id, seats.quantity) == (SHOW, QTY)
        self._next("release")

    def key_may_be_forgotten(self, replayed: bool) -> bool:
        return False

    def commit(self, seats: Seats, payment_intent_id: str, user_id: str) -> str | None:
        assert (seats.event_id, seats.quantity) == (SHOW, QTY)
        (order_id,) = self._next("commit", payment_intent_id)
        return str(order_id)


@cache
def advance(handler: Handler, event: Event, answers: tuple[Answer, ...]) -> Call | str:
    """What a handler does after these answers: a call, or ACK, RETRY or a reject's reason."""
    try:
        outcome = handler(event, Rerun(list(answers)))
    except Paused as paused:
        return paused.call
    except TransientError:
        return RETRY
    return outcome.reason.value if isinstance(outcome, Reject) else ACK


# All the states there are.


class Copy(NamedTuple):
    """One delivery of a message to some worker: the answers so far, then the outcome."""

    number: int  # of its event
    answers: tuple[Answer, ...] = ()
    settled: str = ""


class State(NamedTuple):
    """The world, and how far every message is."""

    world: World
    copies: tuple[Copy, ...]

    def put(self, index: int, copy: Copy, world: World) -> "State":
        """With one copy changed. Copies of one event have no order: fewer states."""
        copies = [*self.copies[:index], copy, *self.copies[index + 1 :]]
        return State(world, tuple(sorted(copies, key=hash)))


@dataclass(frozen=True)
class Checker:
    """The steps from every state, and what must hold in it."""

    shape: Shape
    events: tuple[Event, ...]
    handler: Handler
    parents: dict[State, tuple[State | None, str]] = field(default_factory=dict)

    def start(self) -> State:
        world = World(ours="gone" if self.shape.hold_lost else "held")
        return State(world, tuple(Copy(number) for number in range(len(self.events))))

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        world, copies = state
        for index, copy in enumerate(copies):
            if copy.settled:
                # A delete was lost, SQS delivers twice, or somebody redrives the DLQ.
                yield f"[{copy.number}] comes again", state.put(index, Copy(copy.number), world)
            else:
                yield from self.worker_steps(state, index, copy)
        for call in world.sent:
            yield f"late {call}", State(world.take(self.shape, call)[0], copies)
        if world.free:
            yield "another customer takes them", State(world._replace(free=0), copies)

    def worker_steps(self, state: State, index: int, copy: Copy) -> Iterator[tuple[str, State]]:
        world, anew = state.world, Copy(copy.number)
        who = f"{self.events[copy.number].kind}[{copy.number}]"
        ahead = self.ahead(copy)
        if copy.answers:
            yield f"{who} crashes", state.put(index, anew, world)
        if isinstance(ahead, str):
            # A message given back is one that never was.
            after = anew if ahead == RETRY else Copy(copy.number, (), ahead)
            yield f"{who} ends: {ahead}", state.put(index, after, world)
            return
        unheard = copy._replace(answers=(*copy.answers, LOST))
        after = anew if self.ahead(unheard) == RETRY else unheard
        yield f"{who} {ahead} unanswered", state.put(index, after, world.send(self.shape, ahead))
        world, answer = world.send(self.shape, ahead).take(self.shape, ahead)
        heard = copy._replace(answers=(*copy.answers, answer))
        yield f"{who} {ahead} -> {answer}", state.put(index, heard, world)

    def ahead(self, copy: Copy) -> Call | str:
        return advance(self.handler, self.events[copy.number], copy.answers)

    def wrong(self, state: State) -> list[str]:
        """All that is wrong in this state."""
        return [*state.world.wrong, *self.wrong_at_the_end(state)]

    def check(self, state: State) -> None:
        """Raises with the whole story when something is wrong."""
        wrong = self.wrong(state)
        assert not wrong, "\n".join([*wrong, "", *self.story(state)])

    def wrong_at_the_end(self, state: State) -> Iterator[str]:
        """What does not fit together once all messages are settled."""
        if not all(copy.settled for copy in state.copies):
            return
        world = state.world
        if world.status not in FINAL:
            yield f"still {world.status}"
        expected = "sold" if world.status == "CONFIRMED" else "gone"
        if world.ours != expected and not self.shape.hold_lost:
            yield f"{world.status}, but the places are {world.ours}"
        for copy in state.copies:
            event = self.events[copy.number]
            has_seat = world.ours == "sold" and world.payment == event.payment_intent_id
            fine = ACK if event.kind is not Kind.APPROVED or has_seat else COMPENSATION
            if copy.settled != fine:
                yield f"{event.kind} {event.payment_intent_id} ended as {copy.settled}, not {fine}"

    def states(self) -> Iterator[State]:
        """Every state that can be reached."""
        todo = [self.start()]
        self.parents[todo[0]] = (None, "start")
        while todo:
            state = todo.pop()
            yield state
            for text, after in self.steps(state):
                if after not in self.parents:
                    self.parents[after] = (state, text)
                    todo.append(after)

    def explore(self) -> set[tuple[str, str]]:
        """Check every state; returns how it may end: the status, and what inventory has for us."""
        ends = set()
        for state in self.states():
            self.check(state)
            if all(copy.settled for copy in state.copies):
                ends.add((state.world.status, state.world.ours))
        return ends

    def story(self, state: State) -> list[str]:
        """The steps that led to a state."""
        texts: list[str] = []
        at: State | None = state
        while at is not None:
            at, text = self.parents.get(at, (None, "somehow"))
            texts.append(text)
        return texts[::-1]


# The events, the handlers, and what is tried.


def event(kind: Kind, payment: str | None, facts: bool) -> Event:
    return Event(
        kind=kind,
        reservation_id=RID,
        id=None,
        event_id=SHOW if facts else None,
        seat_ids=None,
        qty=None,
        payment_intent_id=payment,
        error_code=None,
        user_id=None,
        order_id=None,
        trace=TraceHints(),
    )


MESSAGES = [
    (Kind.EXPIRED, None),
    (Kind.FAILED, "pay_1"),
    (Kind.APPROVED, "pay_1"),
    (Kind.APPROVED, "pay_2"),
]
SHAPES = [Shape(*flags) for flags in product([False, True], repeat=4)]
# Any three of the four flags are there in every combination.
HALF_OF_THE_SHAPES = [shape for shape in SHAPES if sum(shape) % 2 == 0]
HOLD_LOST = [shape._replace(hold_lost=True) for shape in SHAPES]

Message = tuple[Kind, str | None]


def checker(shape: Shape, messages: Sequence[Message], handler: Handler) -> Checker:
    events = [event(kind, payment, shape.facts) for kind, payment in messages]
    if shape.facts:
        seats = ("A1", "A2") if shape.numbered else ()
        events = [replace(made, seat_ids=seats, qty=QTY) for made in events]
    return Checker(shape, tuple(events), handler)


def settle(event: Event, neighbours: Neighbours) -> Outcome:
    return HANDLERS[event.kind](event, neighbours)


def bags(*sizes: int) -> list[tuple[Message, ...]]:
    """All choices of so many messages; the same message twice is a duplicate."""
    return list(chain(*(combinations_with_replacement(MESSAGES, size) for size in sizes)))


def shown(value: object) -> str:
    if isinstance(value, Shape):
        return "+".join(name for name, on in value._asdict().items() if on) or "plain"
    return getattr(value, "__name__", None) or str(value)


@pytest.mark.parametrize("shape", [*SHAPES, *HOLD_LOST], ids=shown)
def test_up_to_two_messages_do_no_harm_in_any_order_with_any_failure(shape: Shape) -> None:
    for messages in bags(1, 2):
        checker(shape, messages, settle).explore()


@pytest.mark.parametrize("shape", HALF_OF_THE_SHAPES, ids=shown)
def test_three_messages_do_no_harm_in_any_order_with_any_failure(shape: Shape) -> None:
    for messages in bags(3):
        checker(shape, messages, settle).explore()


@pytest.mark.parametrize("shape", SHAPES, ids=shown)
def test_whichever_message_comes_first_decides_and_every_end_is_a_sound_one(shape: Shape) -> None:
    ends = checker(shape, MESSAGES[:3], settle).explore()
    assert ends == {("EXPIRED", "gone"), ("CANCELLED", "gone"), ("CONFIRMED", "sold")}


@pytest.mark.parametrize("shape", HOLD_LOST, ids=shown)
def test_a_payment_for_places_that_inventory_lost_sells_nothing(shape: Shape) -> None:
    assert checker(shape, [(Kind.APPROVED, "pay_1")], settle).explore() == {("CONFIRMED", "gone")}


@settings(max_examples=200, deadline=None)
@given(
    shape=st.sampled_from([*SHAPES, *HOLD_LOST]),
    messages=st.lists(st.sampled_from(MESSAGES), min_size=3, max_size=7),
    choices=st.lists(st.integers(0, 1000), max_size=80),
)
def test_many_messages_do_no_harm_on_any_walk(
    shape: Shape, messages: list[Message], choices: list[int]
) -> None:
    made = checker(shape, messages, settle)
    state = made.start()

    def go(step: tuple[str, State]) -> None:
        nonlocal state
        text, after = step
        made.parents.setdefault(after, (state, text))
        state = after
        made.check(state)

    for choice in choices:
        steps = list(made.steps(state))
        go(steps[choice % len(steps)])
    # And then all goes well: every message gets through.
    while waiting := [n for n, copy in enumerate(state.copies) if not copy.settled]:
        go(list(made.worker_steps(state, waiting[0], state.copies[waiting[0]]))[-1])


# The checker itself: handlers that were tampered with must be caught.


@dataclass
class Meddler:
    """Hands every call on; what follows changes one of them."""

    neighbours: Neighbours

    def update_status(self, change: StatusChange) -> StatusAnswer:
        return self.neighbours.update_status(change)

    def get(self, reservation_id: str) -> Reservation | None:
        return self.neighbours.get(reservation_id)

    def release(self, seats: Seats, reason: str) -> None:
        self.neighbours.release(seats, reason)

    def key_may_be_forgotten(self, replayed: bool) -> bool:
        return False

    def commit(self, seats: Seats, payment_intent_id: str, user_id: str) -> str | None:
        return self.neighbours.commit(seats, payment_intent_id, user_id)


def seats_of(event: Event) -> Seats:
    return Seats(RID, SHOW, event.seat_ids or (), QTY)


def releases_before_the_patch(event: Event, neighbours: Neighbours) -> Outcome:
    if event.kind is not Kind.APPROVED:
        neighbours.release(seats_of(event), "EXPIRED")
    return settle(event, neighbours)


def commits_before_the_patch(event: Event, neighbours: Neighbours) -> Outcome:
    if event.kind is Kind.APPROVED:
        neighbours.commit(seats_of(event), event.payment_intent_id or "", "")
    return settle(event, neighbours)


def takes_every_409_for_a_replay(event: Event, neighbours: Neighbours) -> Outcome:
    class Deaf(Meddler):
        def update_status(self, change: StatusChange) -> StatusAnswer:
            super().update_status(change)
            return StatusAnswer(True, change.status)

    return settle(event, Deaf(neighbours))


def stops_at_a_replay(event: Event, neighbours: Neighbours) -> Outcome:
    class Replayed(BaseException):
        pass

    class Hasty(Meddler):
        def update_status(self, change: StatusChange) -> StatusAnswer:
            answer = super().update_status(change)
            if not answer.done and answer.status == change.status:
                raise Replayed
            return answer

    try:
        return settle(event, Hasty(neighbours))
    except Replayed:
        return Ack("replayed")


def takes_no_answer_for_done(event: Event, neighbours: Neighbours) -> Outcome:
    class Hopeful(Meddler):
        def release(self, seats: Seats, reason: str) -> None:
            with suppress(TransientError):
                super().release(seats, reason)

        def key_may_be_forgotten(self, replayed: bool) -> bool:
            return False

        def commit(self, seats: Seats, payment_intent_id: str, user_id: str) -> str | None:
            with suppress(TransientError):
                return super().commit(seats, payment_intent_id, user_id)
            return None

    return settle(event, Hopeful(neighbours))


def acknowledges_whatever_comes_out(event: Event, neighbours: Neighbours) -> Outcome:
    settle(event, neighbours)
    return Ack()


def does_not_look_who_paid(event: Event, neighbours: Neighbours) -> Outcome:
    class Blind(Meddler):
        def update_status(self, change: StatusChange) -> StatusAnswer:
            return replace(super().update_status(change), payment_intent_id=None)

        def get(self, reservation_id: str) -> Reservation | None:
            seen = super().get(reservation_id)
            return seen and replace(seen, payment_intent_id=None)

    return settle(event, Blind(neighbours))


@pytest.mark.parametrize(
    ("handler", "found"),
    [
        (releases_before_the_patch, "freed before the arbiter said so"),
        (releases_before_the_patch, "freed after it was sold"),
        (commits_before_the_patch, "sold before the arbiter said so"),
        (commits_before_the_patch, "sold to us and to another"),
        (takes_every_409_for_a_replay, "freed after it was sold"),
        (takes_every_409_for_a_replay, "sold to us and to another"),
        (stops_at_a_replay, "but the places are held"),
        (takes_no_answer_for_done, "but the places are held"),
        (acknowledges_whatever_comes_out, "ended as ack, not compensation_required"),
        (does_not_look_who_paid, "ended as ack, not compensation_required"),
        (does_not_look_who_paid, "sold for a payment that did not confirm it"),
    ],
    ids=shown,
)
def test_a_handler_that_was_tampered_with_is_caught(handler: Handler, found: str) -> None:
    checkers = (checker(*world, handler) for world in product(SHAPES, bags(1, 2)))
    wrong = chain.from_iterable(made.wrong(state) for made in checkers for state in made.states())
    assert any(found in text for text in wrong)
