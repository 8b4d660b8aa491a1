"""A small model checker for the handlers: every step from every state, with checks of each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import NamedTuple

from reservation_worker.clients.ports import Reservation, Seats, StatusAnswer, StatusChange
from reservation_worker.errors import PermanentError, TransientError
from reservation_worker.events.kinds import Kind
from reservation_worker.events.parse import Event, TraceHints
from reservation_worker.handlers.settlement import Neighbours
from reservation_worker.outcome import DeadLetterReason, Outcome, Reject
from tests.properties.settlement_world import (
    FINAL,
    LOST,
    QTY,
    REFUSED,
    SHOW,
    Answer,
    Call,
    Shape,
    World,
)

RID = "rsv_1"
ACK, RETRY = "ack", "retry"
COMPENSATION = DeadLetterReason.COMPENSATION_REQUIRED.value
UNSURE = DeadLetterReason.PERMANENT_ERROR.value

Handler = Callable[[Event, Neighbours], Outcome]
Message = tuple[Kind, str | None]


# One handler, one call at a time.


class Paused(BaseException):
    """Ends a run at the call that comes next; handlers must not see it."""

    def __init__(self, *call: str | None) -> None:
        self.call: Call = call


class Forgotten(NamedTuple):
    """Whether inventory may have forgotten the key of an earlier try of a message."""

    after_a_replay: bool = False  # of the PATCH
    anyhow: bool = False


@dataclass
class Rerun:
    """The handler's Neighbours: gives the answers so far, in order, then stops the run."""

    answers: list[Answer]
    forgotten: Forgotten

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

    def commit(self, seats: Seats, payment_intent_id: str, user_id: str) -> str | None:
        assert (seats.event_id, seats.quantity) == (SHOW, QTY)
        (order_id,) = self._next("commit", payment_intent_id)
        return str(order_id)

    def key_may_be_forgotten(self, replayed: bool) -> bool:
        if self.answers:
            return False  # it was asked before the release that is answered here
        return self.forgotten.after_a_replay if replayed else self.forgotten.anyhow


@cache
def advance(
    handler: Handler, event: Event, answers: tuple[Answer, ...], forgotten: Forgotten
) -> Call | str:
    """A handler's next step after these answers: a call, or ACK, RETRY or a reject's reason."""
    try:
        outcome = handler(event, Rerun(list(answers), forgotten))
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
    # With today's neighbours: whether it came before, and whether its first receive was late.
    again: bool = False
    late: bool = False


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
    """The steps from every state, and the checks of a state.

    `restless`: a message whose first receive was late may come again and count as young.
    """

    shape: Shape
    events: tuple[Event, ...]
    handler: Handler
    restless: bool = False
    parents: dict[State, tuple[State | None, str]] = field(default_factory=dict)

    def start(self) -> State:
        world = World(ours="gone" if self.shape.hold_lost else "held")
        return State(world, tuple(Copy(number) for number in range(len(self.events))))

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        world, copies = state
        for index, copy in enumerate(copies):
            if copy.settled:
                # A delete was lost, SQS delivers twice, or somebody redrives the DLQ.
                yield f"[{copy.number}] comes again", state.put(index, self.anew(copy), world)
            else:
                yield from self.worker_steps(state, index, copy)
        for call in world.sent:
            yield f"late {call}", State(world.take(self.shape, call)[0], copies)
        if world.free:
            yield "another customer takes them", State(world._replace(free=0), copies)
        if self.shape.today and not world.late:
            # Sooner, a message that is being handled has come to the deadline of its handling.
            waiting = (self.anew(copy) if copy.answers else copy for copy in copies)
            later = State(world.later(), tuple(sorted(waiting, key=hash)))
            yield "inventory forgets its keys", later
        if self.shape.today and world.status == "CONFIRMED":
            yield "somebody cancels it", State(world.overturn(), copies)

    def worker_steps(self, state: State, index: int, copy: Copy) -> Iterator[tuple[str, State]]:
        world = state.world
        if not copy.answers and not copy.again:
            # All are sent in time; some are first received late.
            copy = copy._replace(late=world.late)
        anew = self.anew(copy)
        who = f"{self.events[copy.number].kind}[{copy.number}]"
        ahead = self.ahead(copy, world)
        if copy.answers:
            yield f"{who} crashes", state.put(index, anew, world)
        if isinstance(ahead, str):
            # With the contract's neighbours a message given back is one that never was.
            after = anew if ahead == RETRY else copy._replace(answers=(), settled=ahead)
            yield f"{who} ends: {ahead}", state.put(index, after, world)
            return
        unheard = copy._replace(answers=(*copy.answers, LOST))
        after = anew if self.ahead(unheard, world) == RETRY else unheard
        yield f"{who} {ahead} unanswered", state.put(index, after, world.send(self.shape, ahead))
        world, answer = world.send(self.shape, ahead).take(self.shape, ahead)
        heard = copy._replace(answers=(*copy.answers, answer))
        yield f"{who} {ahead} -> {answer}", state.put(index, heard, world)

    def anew(self, copy: Copy) -> Copy:
        """The same message in its next delivery."""
        if not self.shape.today or (copy.late and not self.restless):
            return Copy(copy.number)
        return Copy(copy.number, again=True, late=copy.late)

    def ahead(self, copy: Copy, world: World) -> Call | str:
        event = self.events[copy.number]
        # Since the first receive of a message that came before, else since it was sent.
        old = world.late and not (copy.again and copy.late)
        return advance(self.handler, event, copy.answers, Forgotten(old, old and copy.again))

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
        # A release that was not sent; a dead letter asks a person to check it.
        unsure = world.late and any(copy.settled == UNSURE for copy in state.copies)
        expected = "sold" if world.status == "CONFIRMED" else "gone"
        excused = self.shape.hold_lost or world.overturned or unsure
        if world.ours != expected and not excused:
            yield f"{world.status}, but the places are {world.ours}"
        for copy in state.copies:
            event = self.events[copy.number]
            fine = self.fine(event, world)
            if copy.settled not in fine:
                text = f"{event.kind} {event.payment_intent_id} ended as {copy.settled}"
                yield f"{text}, not {' or '.join(fine)}"

    def fine(self, event: Event, world: World) -> tuple[str, ...]:
        """How a message may have ended in this world."""
        if not event.kind.value.money_taken:
            return (ACK, UNSURE) if world.late and not self.shape.numbered else (ACK,)
        if world.overturned:
            return ACK, COMPENSATION
        has_seat = world.ours == "sold" and world.payment == event.payment_intent_id
        return (ACK,) if has_seat else (COMPENSATION,)

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
        """Check every state; returns the possible ends: status, and inventory's state."""
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


def checker(
    shape: Shape, messages: Sequence[Message], handler: Handler, restless: bool = False
) -> Checker:
    """All that can happen to these messages."""
    events = [event(kind, payment, shape.facts) for kind, payment in messages]
    if shape.facts:
        seats = ("A1", "A2") if shape.numbered else ()
        events = [replace(made, seat_ids=seats, qty=QTY) for made in events]
    return Checker(shape, tuple(events), handler, restless)
