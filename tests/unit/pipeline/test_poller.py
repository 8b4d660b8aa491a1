"""The one thread that receives: when, how many, and from when leases count."""

import pytest

from reservation_worker.errors import InvalidEvent
from reservation_worker.resilience.breaker import FIRST_OPEN, State
from tests.fake_queue import PATIENCE, eventually, sample
from tests.unit.pipeline.poller_rig import VISIBILITY, WAIT, MakePoller

# Receiving.


def test_the_first_receive_does_not_wait_and_the_later_ones_do(poller: MakePoller) -> None:
    made = poller()
    made.start()
    eventually(lambda: len(made.receives) == 2)
    assert made.receives == [(10, 0), (10, WAIT)]
    assert made.poller.has_received


def test_received_messages_are_handed_on(poller: MakePoller) -> None:
    made = poller()
    sent = [made.queue.send() for _ in range(3)]
    made.start()
    assert made.taken_one().message.id == sent[0]
    eventually(lambda: len(made.receives) == 2)
    assert made.dispatcher.in_flight == 3
    assert sample(made.metrics, "sqs_receives_total", result="messages") == 1


def test_an_empty_receive_is_counted_apart(poller: MakePoller) -> None:
    made = poller()
    made.start()
    eventually(lambda: sample(made.metrics, "sqs_receives_total", result="empty") == 1)


def test_the_age_of_a_message_is_measured_from_when_it_was_sent(poller: MakePoller) -> None:
    made = poller()
    made.queue.send()
    made.clock.advance(12)
    made.start()
    made.taken_one()
    eventually(lambda: sample(made.metrics, "worker_event_age_seconds_count") == 1)
    assert sample(made.metrics, "worker_event_age_seconds_sum") == 12


def test_an_invalid_body_is_handed_on_like_all_others(poller: MakePoller) -> None:
    made = poller()
    for body in ("no JSON", "[" * 100_000, '{"type": 1}', "\ud800"):
        made.queue.send(body)
    made.start()
    eventually(lambda: len(made.taken) == 4)
    assert all(isinstance(one.content, InvalidEvent) for one in made.taken)
    assert made.poller.errors_in_a_row == 0


# Leases.


def test_a_lease_is_counted_from_the_return_of_its_receive(poller: MakePoller) -> None:
    made = poller()
    made.queue.send()
    began = made.clock()
    made.queue.during("receive", lambda: made.clock.advance(0.75))
    made.start()
    delivery = made.taken_one()
    assert delivery.received_at == began + 0.75
    assert delivery.lease.deadline == began + 0.75 + VISIBILITY


@pytest.mark.parametrize("first", [True, False])
def test_an_answer_later_than_its_wait_is_counted_from_when_it_was_due(
    poller: MakePoller, first: bool
) -> None:
    made = poller(wait=5)
    if not first:
        made.queue.during("receive", lambda: None)
    asked_at: list[float] = []

    def answer_late() -> None:
        made.queue.send()
        asked_at.append(made.clock())
        made.clock.advance(12)

    made.queue.during("receive", answer_late)
    made.start()
    delivery = made.taken_one()
    due = asked_at[0] + (0 if first else 5) + 1
    assert delivery.lease.deadline == due + VISIBILITY


# Demand.


@pytest.mark.parametrize(("waiting", "receives"), [(1, 1), (10, 2)])
def test_after_a_receive_that_was_not_full_the_next_one_waits_for_more_messages(
    poller: MakePoller, monkeypatch: pytest.MonkeyPatch, waiting: int, receives: int
) -> None:
    monkeypatch.setattr("reservation_worker.pipeline.poller.GATHER", PATIENCE)
    made = poller()
    for _ in range(waiting):
        made.queue.send()
    made.start()
    eventually(lambda: len(made.taken) == waiting and len(made.receives) == receives)
    # The stop does not wait for the pause.
    made.poller.stop()
    made.queue.send()  # ends a receive under way
    assert made.poller.join(PATIENCE / 2)
    assert len(made.receives) == receives


def test_without_room_nothing_is_received(poller: MakePoller) -> None:
    made = poller(concurrency=1)
    for _ in range(12):
        made.queue.send()
    made.start()
    eventually(lambda: made.dispatcher.in_flight == 10)
    made.some_rounds()
    # One slot is free, but a receive for one message is not worth its call: no thread idles.
    assert made.receives == [(10, 0)]
    made.let_go()
    eventually(lambda: len(made.taken) == 12)


def test_a_poller_without_room_is_not_late(poller: MakePoller) -> None:
    made = poller(concurrency=1)
    for _ in range(12):
        made.queue.send()
    made.start()
    eventually(lambda: made.dispatcher.in_flight == 10)
    made.clock.advance(3_600)
    made.some_rounds()
    assert not made.poller.late()


# Breakers.


def test_while_a_breaker_is_open_nothing_is_received(poller: MakePoller) -> None:
    made = poller()
    made.open_breaker()
    made.queue.send()
    made.start()
    made.some_rounds()
    assert made.receives == []
    assert not made.poller.late()


def test_while_a_neighbour_stays_down_nothing_is_received(poller: MakePoller) -> None:
    made = poller()
    made.open_breaker()
    made.neighbour_down = True
    made.queue.send()
    made.start()
    for _ in range(5):
        made.clock.advance(60)
        made.some_rounds()
    assert made.receives == []
    assert not made.poller.late()


def test_when_the_neighbour_is_back_one_message_is_received_first(poller: MakePoller) -> None:
    made = poller()
    made.open_breaker()
    for _ in range(5):
        made.queue.send()
    made.start()
    made.some_rounds()
    made.clock.advance(FIRST_OPEN)
    made.taken_one()
    made.some_rounds()
    assert made.receives == [(1, 0)]
    made.breaker.record(made.breaker.admit(), "m1", ok=True)
    eventually(lambda: len(made.taken) == 2)
    assert made.receives[1] == (1, WAIT)


# The stop.


def test_messages_that_a_long_poll_brings_after_the_stop_are_given_back(poller: MakePoller) -> None:
    made = poller()
    made.start()
    eventually(lambda: len(made.receives) == 2)
    made.poller.stop()
    made.dispatcher.close()
    late = made.queue.send()
    assert made.poller.join(PATIENCE)
    assert [one.message.id for one in made.given_back] == [late]
    assert made.taken == []


def test_after_the_stop_nothing_more_is_received(poller: MakePoller) -> None:
    made = poller()
    made.start()
    eventually(lambda: len(made.receives) == 2)
    made.poller.stop()
    assert not made.poller.join(0.01), "a long poll is let run"
    made.clock.advance(WAIT)
    assert made.poller.join(PATIENCE)
    assert len(made.receives) == 2


def test_a_poller_that_was_stopped_before_its_start_receives_nothing(poller: MakePoller) -> None:
    made = poller()
    made.poller.stop()
    assert made.poller.join(0)
    made.start()
    assert made.poller.join(PATIENCE)
    assert made.receives == []


def test_slots_freed_by_a_breaker_that_opens_are_not_filled_again(poller: MakePoller) -> None:
    made = poller()
    made.queue.send()
    looks = made.breakers.limit

    def open_after_the_first_look() -> int | None:
        found = looks()
        if made.breaker.state is State.CLOSED:
            made.open_breaker()
        return found

    made.breakers.limit = open_after_the_first_look  # type: ignore[method-assign]
    made.start()
    made.some_rounds()
    assert made.receives == []


def test_the_latency_counts_from_the_return_though_the_lease_counts_from_earlier(
    poller: MakePoller,
) -> None:
    made = poller()
    made.queue.send()
    asked = made.clock()
    made.queue.during("receive", lambda: made.clock.advance(4))
    made.start()
    taken = made.taken_one()
    assert taken.received_at == asked + 4
    assert taken.lease.deadline == asked + 1 + VISIBILITY
