"""Invariants 2 and 3 under every interleaving: no seat freed after it was sold, none sold twice,
every effect once; and whoever paid has a seat, or his message says compensation_required.

Handlers are pure functions of the answers they get, so a handler is run one call at a time by
running it anew with the answers so far and stopping it at the next call. Each of these is a step,
and from every state every step is tried:

* a worker makes its message's next call and gets the answer;
* a call is sent, but its worker never hears of it again, and tries the message anew;
* a call that was ever sent takes effect (again): late, or doubled by the network;
* a worker crashes before or after any call, or between the outcome and its delete; the message
  comes again, and so may one that was settled long ago. Workers handle messages of one
  reservation at the same time, copies included;
* another customer takes places that were freed.

The contract's neighbours have the known danger in them, and a commit sells whatever it is asked
to: nothing but the handlers' order of calls keeps seats from harm. A 409 or a GET names the
payment of a CONFIRMED reservation, as the contract presumes for second payments.

Today's neighbours have two steps more: inventory forgets its keys, and somebody cancels a
confirmed reservation. All messages of the model are sent before the keys are forgotten, because
a copy that somebody publishes later is young by everything that SQS says of it.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, combinations_with_replacement, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reservation_worker.clients.ports import Reservation, Seats, StatusAnswer, StatusChange
from reservation_worker.errors import TransientError
from reservation_worker.events.kinds import Kind
from reservation_worker.events.parse import Event
from reservation_worker.handlers.settlement import HANDLERS, Neighbours
from reservation_worker.outcome import Ack, Outcome
from tests.properties.settlement_checker import RID, Handler, Message, State, checker
from tests.properties.settlement_world import (
    HALF_OF_THE_SHAPES,
    HOLD_LOST,
    QTY,
    SHAPES,
    SHOW,
    TODAY,
    Shape,
)

MESSAGES: list[Message] = [
    (kind, payment)
    for kind in Kind
    for payment in (
        ("pay_1", "pay_2")
        if kind.value.money_taken
        else ("pay_1" if "payment_intent_id" in kind.value.sample else None,)
    )
]
ONE_OF_EACH = [(Kind.EXPIRED, None), (Kind.FAILED, "pay_1"), (Kind.APPROVED, "pay_1")]


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


@pytest.mark.parametrize("shape", TODAY, ids=shown)
def test_up_to_two_messages_do_no_harm_when_keys_are_forgotten_and_sales_overturned(
    shape: Shape,
) -> None:
    for messages in bags(1, 2):
        checker(shape, messages, settle).explore()


@pytest.mark.parametrize("shape", HALF_OF_THE_SHAPES, ids=shown)
def test_three_messages_do_no_harm_in_any_order_with_any_failure(shape: Shape) -> None:
    for messages in bags(3):
        checker(shape, messages, settle).explore()


@pytest.mark.parametrize("shape", SHAPES, ids=shown)
def test_the_first_message_decides_and_every_end_is_sound(shape: Shape) -> None:
    ends = checker(shape, ONE_OF_EACH, settle).explore()
    assert ends == {("EXPIRED", "gone"), ("CANCELLED", "gone"), ("CONFIRMED", "sold")}


@pytest.mark.parametrize("shape", HOLD_LOST, ids=shown)
def test_a_payment_for_places_that_inventory_lost_sells_nothing(shape: Shape) -> None:
    assert checker(shape, [(Kind.APPROVED, "pay_1")], settle).explore() == {("CONFIRMED", "gone")}


@settings(max_examples=200, deadline=None)
@given(
    shape=st.sampled_from([*SHAPES, *HOLD_LOST, *TODAY]),
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
    # Then nothing fails: every message is settled, or always gets the same passing answer.
    seen: set[State] = set()
    while waiting := [n for n, copy in enumerate(state.copies) if not copy.settled]:
        if state in seen and shape.today:
            break
        seen.add(state)
        go(list(made.worker_steps(state, waiting[0], state.copies[waiting[0]]))[-1])


# The checker itself: handlers that were tampered with must be caught.


@dataclass
class Meddler:
    """Hands every call on; subclasses change one of them."""

    neighbours: Neighbours

    def update_status(self, change: StatusChange) -> StatusAnswer:
        return self.neighbours.update_status(change)

    def get(self, reservation_id: str) -> Reservation | None:
        return self.neighbours.get(reservation_id)

    def release(self, seats: Seats, reason: str) -> None:
        self.neighbours.release(seats, reason)

    def commit(self, seats: Seats, payment_intent_id: str, user_id: str) -> str | None:
        return self.neighbours.commit(seats, payment_intent_id, user_id)

    def key_may_be_forgotten(self, replayed: bool) -> bool:
        return self.neighbours.key_may_be_forgotten(replayed)


def seats_of(event: Event) -> Seats:
    return Seats(RID, SHOW, event.seat_ids or (), QTY)


def releases_before_the_patch(event: Event, neighbours: Neighbours) -> Outcome:
    if not event.kind.value.money_taken:
        neighbours.release(seats_of(event), "EXPIRED")
    return settle(event, neighbours)


def commits_before_the_patch(event: Event, neighbours: Neighbours) -> Outcome:
    if event.kind.value.money_taken:
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


def repeats_whatever_inventory_remembers(event: Event, neighbours: Neighbours) -> Outcome:
    class Careless(Meddler):
        def key_may_be_forgotten(self, replayed: bool) -> bool:
            return False

    return settle(event, Careless(neighbours))


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


@pytest.mark.parametrize("message", [one for one in MESSAGES if not one[0].value.money_taken])
def test_a_release_that_is_repeated_after_its_key_is_forgotten_is_caught(message: Message) -> None:
    quantities = [shape for shape in TODAY if not shape.numbered]
    checkers = [
        checker(shape, [message], repeats_whatever_inventory_remembers) for shape in quantities
    ]
    wrong = chain.from_iterable(made.wrong(state) for made in checkers for state in made.states())
    assert any("freed what it did not hold" in text for text in wrong)


def test_the_age_of_a_message_misses_a_copy_that_is_received_late_and_then_again() -> None:
    """The case that docs/contract.md#quantity-releases leaves open, and why."""
    shape = next(shape for shape in TODAY if not shape.numbered)
    made = checker(shape, [(Kind.EXPIRED, None)] * 2, settle, restless=True)
    wrong = chain.from_iterable(made.wrong(state) for state in made.states())
    assert any("freed what it did not hold" in text for text in wrong)
