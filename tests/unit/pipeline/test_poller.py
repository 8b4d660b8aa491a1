"""The one thread that receives: when, how many, counted from when, and that it never dies."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from reservation_worker.clock import Clocks
from reservation_worker.errors import InvalidEvent, TransientError
from reservation_worker.pipeline import poller as poller_module
from reservation_worker.pipeline.breakers import Breakers, ProbedBreaker
from reservation_worker.pipeline.custody import Custody
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.dispatcher import Dispatcher
from reservation_worker.pipeline.leases import Leases
from reservation_worker.pipeline.poller import LATE, Poller
from reservation_worker.resilience.breaker import FIRST_OPEN, Breaker, State
from tests.fake_queue import PATIENCE, FakeClock, FakeQueue, eventually, new_metrics, sample

VISIBILITY = 30
WAIT = 20


class CountingBreakers(Breakers):
    """Counts how often the poller has looked at it."""

    looks = 0

    def limit(self) -> int | None:
        self.looks += 1
        return super().limit()


class Rig:
    """A poller on real parts; messages stay in work until `let_go`."""

    def __init__(self, concurrency: int = 20, wait: int = WAIT) -> None:
        self.clock = FakeClock()
        self.queue = FakeQueue(self.clock, VISIBILITY, wall_clock=lambda: 5_000.0)
        self.metrics = new_metrics()
        self.leases = Leases(self.queue, VISIBILITY, self.clock, self.metrics)
        self.custody = Custody(self.clock)
        self.breaker = Breaker("inventory", self.clock, lambda: 0.5)
        self.neighbour_down = False
        self.breakers = CountingBreakers({"inventory": ProbedBreaker(self.breaker, self.probe)})
        self.taken: list[Delivery] = []
        self.given_back: list[Delivery] = []
        self._go = threading.Event()
        self.dispatcher = Dispatcher(concurrency, self._work, self.clock)
        self.poller = Poller(
            self.queue,
            self.dispatcher,
            self.breakers,
            self.custody,
            self.leases,
            self.metrics,
            self._give_back,
            wait,
            Clocks(self.clock, lambda: 5_012.0),
        )

    def _work(self, delivery: Delivery) -> None:
        self.taken.append(delivery)
        assert self._go.wait(PATIENCE)

    def _give_back(self, deliveries: Iterable[Delivery]) -> None:
        self.given_back += deliveries

    def probe(self, timeout: float) -> None:
        if self.neighbour_down:
            raise TransientError("refused")

    def open_breaker(self) -> None:
        for number in range(10):
            self.breaker.record(self.breaker.admit(), f"m{number}", ok=False)

    def start(self) -> None:
        self.poller.start()

    def taken_one(self) -> Delivery:
        """The first delivery that was handed on."""
        eventually(lambda: self.taken)
        return self.taken[0]

    @property
    def receives(self) -> list[tuple[Any, ...]]:
        """Limit and wait of each receive so far."""
        return self.queue.calls("receive")

    def some_rounds(self) -> None:
        """The poller has looked whether to receive a few times more."""
        before = self.breakers.looks
        eventually(lambda: self.breakers.looks >= before + 3)

    def let_go(self) -> None:
        self._go.set()

    def end(self) -> None:
        self.let_go()
        self.poller.stop()
        self.dispatcher.close()
        self.clock.advance(WAIT)
        assert self.poller.join(PATIENCE)
        self.dispatcher.shutdown()


MakeRig = Callable[..., Rig]


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeRig]:
    # Rounds without a receive are short here, and clocks stand still: nothing depends on them.
    monkeypatch.setattr(poller_module, "IDLE", 0.01)
    made: list[Rig] = []

    def make(**options: int) -> Rig:
        made.append(Rig(**options))
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The longest length of each pause after an error; the pauses themselves are none."""
    found: list[float] = []

    def no_pause(longest: float) -> float:
        found.append(longest)
        return 0.0

    monkeypatch.setattr("backoff.full_jitter", no_pause)
    return found


# Receiving.


def test_the_first_receive_does_not_wait_and_the_later_ones_do(rig: MakeRig) -> None:
    made = rig()
    made.start()
    eventually(lambda: len(made.receives) == 2)
    assert made.receives == [(10, 0), (10, WAIT)]
    assert made.poller.has_received


def test_what_is_received_is_handed_on(rig: MakeRig) -> None:
    made = rig()
    sent = [made.queue.send() for _ in range(3)]
    made.start()
    assert made.taken_one().message.id == sent[0]
    eventually(lambda: len(made.receives) == 2)
    assert made.dispatcher.in_flight == 3
    assert sample(made.metrics, "sqs_receives_total", result="messages") == 1


def test_an_empty_receive_is_counted_apart(rig: MakeRig) -> None:
    made = rig()
    made.start()
    eventually(lambda: sample(made.metrics, "sqs_receives_total", result="empty") == 1)


def test_the_age_of_a_message_is_measured_from_when_it_was_sent(rig: MakeRig) -> None:
    made = rig()
    made.queue.send()
    made.start()
    made.taken_one()
    eventually(lambda: sample(made.metrics, "worker_event_age_seconds_count") == 1)
    assert sample(made.metrics, "worker_event_age_seconds_sum") == 12


def test_a_body_that_is_no_event_is_handed_on_like_all_others(rig: MakeRig) -> None:
    made = rig()
    for body in ("no JSON", "[" * 100_000, '{"type": 1}', "\ud800"):
        made.queue.send(body)
    made.start()
    eventually(lambda: len(made.taken) == 4)
    assert all(isinstance(one.content, InvalidEvent) for one in made.taken)
    assert made.poller.errors_in_a_row == 0


# Leases.


def test_a_lease_is_counted_from_the_return_of_its_receive(rig: MakeRig) -> None:
    made = rig()
    made.queue.send()
    began = made.clock()
    made.queue.during("receive", lambda: made.clock.advance(0.75))
    made.start()
    delivery = made.taken_one()
    assert delivery.received_at == began + 0.75
    assert delivery.lease.deadline == began + 0.75 + VISIBILITY


@pytest.mark.parametrize("first", [True, False])
def test_an_answer_later_than_its_wait_is_counted_from_when_it_was_due(
    rig: MakeRig, first: bool
) -> None:
    made = rig(wait=5)
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


def test_without_room_nothing_is_received(rig: MakeRig) -> None:
    made = rig(concurrency=1)
    for _ in range(12):
        made.queue.send()
    made.start()
    eventually(lambda: made.dispatcher.in_flight == 10)
    made.some_rounds()
    # One slot is free, but a receive for one message is not worth its call: no thread idles.
    assert made.receives == [(10, 0)]
    made.let_go()
    eventually(lambda: len(made.taken) == 12)


def test_a_poller_without_room_is_not_late(rig: MakeRig) -> None:
    made = rig(concurrency=1)
    for _ in range(12):
        made.queue.send()
    made.start()
    eventually(lambda: made.dispatcher.in_flight == 10)
    made.clock.advance(3_600)
    made.some_rounds()
    assert not made.poller.late()


# Breakers.


def test_while_a_breaker_is_open_nothing_is_received(rig: MakeRig) -> None:
    made = rig()
    made.open_breaker()
    made.queue.send()
    made.start()
    made.some_rounds()
    assert made.receives == []
    assert not made.poller.late()


def test_while_a_neighbour_stays_down_nothing_is_received(rig: MakeRig) -> None:
    made = rig()
    made.open_breaker()
    made.neighbour_down = True
    made.queue.send()
    made.start()
    for _ in range(5):
        made.clock.advance(60)
        made.some_rounds()
    assert made.receives == []
    assert not made.poller.late()


def test_when_the_neighbour_is_back_one_message_is_received_first(rig: MakeRig) -> None:
    made = rig()
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


# Errors.


def test_failed_receives_are_counted_and_followed_by_growing_pauses(
    rig: MakeRig, pauses: list[float]
) -> None:
    made = rig()
    made.queue.fail("receive", times=7)
    made.start()
    eventually(lambda: made.poller.has_received)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert sample(made.metrics, "sqs_poll_errors_total") == 7


def test_a_receive_that_works_ends_the_row_of_errors(rig: MakeRig, pauses: list[float]) -> None:
    made = rig()
    made.queue.fail("receive", times=3)
    row: list[int] = []
    made.queue.during("receive", lambda: row.append(made.poller.errors_in_a_row))
    made.start()
    eventually(lambda: len(made.receives) == 5)
    assert (row, made.poller.errors_in_a_row) == ([3], 0)
    # The next row starts with a short pause again.
    made.queue.fail("receive")
    made.queue.send()
    made.clock.advance(WAIT)
    eventually(lambda: len(pauses) == 4)
    assert pauses == [1, 2, 4, 1]


def test_the_poller_goes_on_after_an_error_that_nobody_expected(
    rig: MakeRig, pauses: list[float]
) -> None:
    made = rig()

    def fail() -> None:
        raise RuntimeError("a bug")

    made.queue.during("receive", fail)
    made.queue.send()
    made.start()
    made.taken_one()
    assert sample(made.metrics, "sqs_poll_errors_total") == 1
    assert not made.poller.late()


def test_a_stop_cuts_a_pause_short(rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backoff.full_jitter", lambda longest: 3_600.0)
    made = rig()
    made.queue.fail("receive")
    made.start()
    eventually(lambda: made.poller.errors_in_a_row)
    made.poller.stop()
    assert made.poller.join(PATIENCE)


# The stop.


def test_what_a_long_poll_still_brings_after_the_stop_is_given_back(rig: MakeRig) -> None:
    made = rig()
    made.start()
    eventually(lambda: len(made.receives) == 2)
    made.poller.stop()
    made.dispatcher.close()
    late = made.queue.send()
    assert made.poller.join(PATIENCE)
    assert [one.message.id for one in made.given_back] == [late]
    assert made.taken == []


def test_after_the_stop_nothing_more_is_received(rig: MakeRig) -> None:
    made = rig()
    made.start()
    eventually(lambda: len(made.receives) == 2)
    made.poller.stop()
    assert not made.poller.join(0.01), "a long poll is let run"
    made.clock.advance(WAIT)
    assert made.poller.join(PATIENCE)
    assert len(made.receives) == 2


def test_a_poller_that_was_stopped_before_its_start_receives_nothing(rig: MakeRig) -> None:
    made = rig()
    made.poller.stop()
    assert made.poller.join(0)
    made.start()
    assert made.poller.join(PATIENCE)
    assert made.receives == []


# Late.


def test_a_poller_that_has_not_been_started_is_not_late(rig: MakeRig) -> None:
    made = rig()
    made.clock.advance(3_600)
    assert not made.poller.late()
    assert made.poller.silent() == 0


def test_a_poller_that_was_told_to_stop_is_not_silent_by_fault(rig: MakeRig) -> None:
    made = rig()
    made.start()
    made.poller.stop()
    made.clock.advance(3_600)
    assert made.poller.silent() == 0


def test_a_receive_that_hangs_makes_the_poller_late_and_its_end_ends_that(rig: MakeRig) -> None:
    made = rig()
    call = made.queue.hold("receive")
    made.start()
    call.wait_entered()
    made.clock.advance(WAIT + LATE)
    assert not made.poller.late()
    assert made.poller.silent() == WAIT + LATE
    made.clock.advance(1)
    assert made.poller.late()
    call.release()
    eventually(lambda: not made.poller.late())
    assert made.poller.silent() == 0


def test_a_pause_is_no_silence(rig: MakeRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backoff.full_jitter", lambda longest: 3_600.0)
    made = rig()
    made.queue.fail("receive")
    made.start()
    began = made.clock()
    eventually(lambda: made.poller._seen_at > began)
    assert made.poller.silent() == 0
    made.clock.advance(3_600)
    assert not made.poller.late()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_poller_whose_thread_has_died_is_late(rig: MakeRig) -> None:
    made = rig()

    def die() -> None:
        raise SystemExit

    made.queue.during("receive", die)
    made.start()
    eventually(made.poller.late)
    assert made.clock() == 1_000


def test_what_a_breaker_that_opens_sets_free_is_not_filled_up_again(rig: MakeRig) -> None:
    made = rig()
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
    rig: MakeRig,
) -> None:
    made = rig()
    made.queue.send()
    asked = made.clock()
    made.queue.during("receive", lambda: made.clock.advance(4))
    made.start()
    taken = made.taken_one()
    assert taken.received_at == asked + 4
    assert taken.lease.deadline == asked + 1 + VISIBILITY
