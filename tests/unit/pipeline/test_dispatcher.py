"""The pool: slots are the back-pressure, and each delivery runs once, alone for its reservation."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.dispatcher import MOST_TEXT, Dispatcher
from reservation_worker.pipeline.leases import Lease
from reservation_worker.sqs.queue import Message
from tests.fake_queue import PATIENCE, FakeClock, event_body, eventually, opened

NO_WAIT = 0.0


def lasting(receipt: str, at: float) -> Lease:
    return Lease(receipt, float("inf"))


def delivery(number: int, reservation: str = "", kind: str = "reservation.expired") -> Delivery:
    body = event_body(kind, reservation or f"rsv_{number}")
    return opened(Message(f"m{number}", f"m{number}#1", body), 0.0, lasting)


def large(number: int, size: int) -> Delivery:
    detail = {"reservation_id": f"rsv_{number}", "note": "x" * size}
    body = json.dumps({"type": "reservation.expired", "detail": detail})
    return opened(Message(f"m{number}", f"m{number}#1", body), 0.0, lasting)


def some(count: int, first: int = 0) -> list[Delivery]:
    return [delivery(number) for number in range(first, first + count)]


class Pool:
    """A dispatcher whose work stands still until it is let go, one delivery or all."""

    def __init__(self, concurrency: int) -> None:
        self.clock = FakeClock()
        self.began: list[Delivery] = []
        self.ended: list[Delivery] = []
        self._go: dict[Delivery, threading.Event] = {}
        self._all = False
        self._lock = threading.Lock()
        self.dispatcher = Dispatcher(concurrency, self._work, self.clock)

    def _work(self, one: Delivery) -> None:
        go = self._gate(one)
        with self._lock:
            self.began.append(one)
        assert go.wait(PATIENCE)
        with self._lock:
            self.ended.append(one)

    def _gate(self, one: Delivery) -> threading.Event:
        with self._lock:
            go = self._go.setdefault(one, threading.Event())
            if self._all:
                go.set()
            return go

    def let_go(self, *deliveries: Delivery) -> None:
        for one in deliveries:
            self._gate(one).set()

    def let_all_go(self) -> None:
        with self._lock:
            self._all = True
            for go in self._go.values():
                go.set()

    def accept(self, deliveries: list[Delivery], running: int | None = None) -> None:
        """Accept all, and wait until `running` (else as many as can) have begun."""
        assert self.dispatcher.accept(deliveries) == []
        wanted = len(deliveries) if running is None else running
        eventually(lambda: self.dispatcher.busy == wanted)

    def idle(self) -> None:
        eventually(lambda: self.dispatcher.in_flight == 0)


@pytest.fixture
def pool() -> Iterator[Callable[[int], Pool]]:
    made: list[Pool] = []

    def make(concurrency: int) -> Pool:
        made.append(Pool(concurrency))
        return made[-1]

    yield make
    for one in made:
        one.dispatcher.close()
        one.let_all_go()
        one.dispatcher.shutdown()


# How much is received.


def test_slots_are_the_threads_and_one_batch_more(pool: Callable[[int], Pool]) -> None:
    assert pool(20).dispatcher.slots == 30


def test_an_idle_worker_asks_for_a_full_batch(pool: Callable[[int], Pool]) -> None:
    assert pool(20).dispatcher.room(None, NO_WAIT) == 10
    # Also one with fewer threads than a batch has messages.
    assert pool(1).dispatcher.room(None, NO_WAIT) == 10


def test_with_all_threads_busy_one_batch_may_wait_and_no_more(
    pool: Callable[[int], Pool],
) -> None:
    made = pool(4)
    made.accept(some(4))
    assert made.dispatcher.room(None, NO_WAIT) == 10
    made.accept(some(1, first=10), running=4)
    # Nine are free, but no thread would idle for want of them.
    assert made.dispatcher.room(None, NO_WAIT) == 0


def test_a_poller_without_room_is_told_when_the_next_of_one_reservation_has_begun(
    pool: Callable[[int], Pool],
) -> None:
    made = pool(2)
    line = [delivery(number, "rsv_1") for number in range(12)]
    made.accept(line, running=1)
    with ThreadPoolExecutor(1) as poller:
        # A thread idles, but every slot is taken.
        room = poller.submit(made.dispatcher.room, None, 10 * PATIENCE)
        eventually(lambda: made.dispatcher._room_freed._waiters)  # type: ignore[attr-defined]
        made.let_go(line[0])
        assert room.result(PATIENCE) == 1


def test_nothing_is_received_beside_large_messages_until_they_are_settled(
    pool: Callable[[int], Pool],
) -> None:
    made = pool(4)
    halves = [large(number, MOST_TEXT // 2) for number in range(2)]
    made.accept(halves[:1])
    assert made.dispatcher.room(None, NO_WAIT) == 10
    made.accept(halves[1:], running=2)
    assert made.dispatcher.room(None, NO_WAIT) == 0
    made.let_go(halves[0])
    eventually(lambda: made.dispatcher.in_flight == 1)
    assert made.dispatcher.room(None, NO_WAIT) == 10


def test_large_messages_that_are_given_back_make_room(pool: Callable[[int], Pool]) -> None:
    made = pool(1)
    made.accept([*some(1), large(1, MOST_TEXT)], running=1)
    assert made.dispatcher._text > MOST_TEXT
    made.dispatcher.close()
    assert made.dispatcher._text < MOST_TEXT


def test_a_thread_that_would_idle_asks_for_less_than_a_batch(
    pool: Callable[[int], Pool],
) -> None:
    made = pool(4)
    # All of one reservation: eleven slots are held, and three threads have nothing to do.
    made.accept([delivery(number, "rsv_1") for number in range(11)], running=1)
    assert made.dispatcher.room(None, NO_WAIT) == 3


def test_without_a_free_slot_nothing_is_asked_for_though_threads_idle(
    pool: Callable[[int], Pool],
) -> None:
    made = pool(4)
    made.accept([delivery(number, "rsv_1") for number in range(14)], running=1)
    assert made.dispatcher.room(None, NO_WAIT) == 0


def test_a_limit_bounds_what_is_in_flight(pool: Callable[[int], Pool]) -> None:
    made = pool(4)
    assert made.dispatcher.room(1, NO_WAIT) == 1
    made.accept(some(1))
    assert made.dispatcher.room(1, NO_WAIT) == 0
    assert made.dispatcher.room(3, NO_WAIT) == 2


def test_a_slot_is_free_again_when_its_delivery_has_ended(pool: Callable[[int], Pool]) -> None:
    made = pool(2)
    deliveries = some(12)
    made.accept(deliveries, running=2)
    assert (made.dispatcher.in_flight, made.dispatcher.room(None, NO_WAIT)) == (12, 0)
    made.let_all_go()
    made.idle()
    assert made.dispatcher.room(None, NO_WAIT) == 10
    assert sorted(one.message.id for one in made.ended) == sorted(
        one.message.id for one in deliveries
    )


def test_who_waits_for_room_wakes_when_a_delivery_ends(pool: Callable[[int], Pool]) -> None:
    made = pool(1)
    deliveries = some(11)
    made.accept(deliveries, running=1)
    found: list[int] = []
    asking = threading.Thread(
        target=lambda: found.append(made.dispatcher.room(None, PATIENCE)), daemon=True
    )
    asking.start()
    made.let_all_go()
    asking.join(PATIENCE)
    assert found[0] > 0


# Who runs.


def test_as_many_run_as_there_are_threads(pool: Callable[[int], Pool]) -> None:
    made = pool(3)
    made.accept(some(10), running=3)
    assert len(made.dispatcher.running()) == 3


def test_a_delivery_that_runs_knows_since_when(pool: Callable[[int], Pool]) -> None:
    made = pool(1)
    [one] = some(1)
    made.accept([one])
    assert one.started_at == made.clock()


def test_the_approved_go_first_when_a_thread_is_free(pool: Callable[[int], Pool]) -> None:
    made = pool(1)
    first, expired, approved = (
        delivery(1),
        delivery(2),
        delivery(3, kind="payment.approved"),
    )
    made.accept([first])
    made.accept([expired, approved], running=1)
    made.let_all_go()
    made.idle()
    assert made.began == [first, approved, expired]


def test_two_of_one_reservation_never_run_at_the_same_time(
    pool: Callable[[int], Pool],
) -> None:
    made = pool(4)
    first, second, other = delivery(1, "rsv_1"), delivery(2, "rsv_1"), delivery(3, "rsv_2")
    made.accept([first, second, other], running=2)
    assert set(made.dispatcher.running()) == {first, other}
    assert made.dispatcher.in_flight == 3
    made.let_go(first)
    eventually(lambda: second in made.began)
    assert made.ended == [first]


def test_two_copies_of_one_message_never_run_at_the_same_time(
    pool: Callable[[int], Pool],
) -> None:
    made = pool(4)
    copies = [opened(Message("m1", f"m1#{n}", "no JSON"), 0.0, lasting) for n in (1, 2)]
    made.accept(copies, running=1)
    assert made.dispatcher.running() == copies[:1]
    made.let_all_go()
    made.idle()
    assert made.ended == copies


def test_an_unexpected_error_frees_the_slot_and_the_reservation() -> None:
    ended: list[str] = []

    def work(one: Delivery) -> None:
        if not ended:
            ended.append("failed")
            raise SystemExit("a bug")
        ended.append(one.message.id)

    dispatcher = Dispatcher(1, work, FakeClock())
    dispatcher.accept([delivery(1, "rsv_1"), delivery(2, "rsv_1"), delivery(3)])
    eventually(lambda: dispatcher.in_flight == 0)
    assert sorted(ended) == ["failed", "m2", "m3"]
    assert dispatcher.busy == 0
    dispatcher.shutdown()


def test_under_fire_each_runs_once_and_none_beside_another_of_its_reservation() -> None:
    lock = threading.Lock()
    busy: set[str] = set()
    ended: list[Delivery] = []
    clashes: list[str] = []

    def work(one: Delivery) -> None:
        with lock:
            if one.key in busy:
                clashes.append(one.key)
            busy.add(one.key)
        threading.Event().wait(0.0005)
        with lock:
            busy.discard(one.key)
            ended.append(one)

    dispatcher = Dispatcher(8, work, FakeClock())
    sent: list[Delivery] = []
    while len(sent) < 600:
        room = dispatcher.room(None, PATIENCE)
        assert 0 < room <= 10
        batch = [delivery(len(sent) + n, f"rsv_{(len(sent) + n) % 7}") for n in range(room)]
        sent += batch
        assert dispatcher.accept(batch) == []
        assert dispatcher.in_flight <= dispatcher.slots
    eventually(lambda: dispatcher.in_flight == 0)
    assert clashes == []
    assert len(ended) == len(set(ended)) == len(sent)
    for reservation in {one.key for one in sent}:
        assert [one for one in ended if one.key == reservation] == [
            one for one in sent if one.key == reservation
        ]
    dispatcher.shutdown()


def test_all_threads_are_there_after_the_start_so_that_none_is_missed_later(
    pool: Callable[[int], Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pool(4)
    made.dispatcher.start()
    monkeypatch.setattr(threading.Thread, "start", _refuse)
    made.accept(some(4), running=4)
    made.let_all_go()
    made.idle()


def test_a_start_that_gets_too_few_threads_says_so_and_leaves_none_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dispatcher = Dispatcher(3, lambda delivery: None, FakeClock())
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def start_two(thread: threading.Thread) -> None:
        if len(started) == 2:
            _refuse(thread)
        started.append(thread)
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start_two)
        with pytest.raises(RuntimeError, match="new thread"):
            dispatcher.start()
    dispatcher.shutdown()
    eventually(lambda: not any(thread.is_alive() for thread in started))


def _refuse(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


# The stop.


def test_a_close_returns_what_has_not_started_and_starts_nothing_any_more(
    pool: Callable[[int], Pool],
) -> None:
    made = pool(1)
    running, behind, waiting = delivery(1, "rsv_1"), delivery(2, "rsv_1"), delivery(3)
    made.accept([running, behind, waiting], running=1)
    assert set(made.dispatcher.close()) == {behind, waiting}
    assert (made.dispatcher.in_flight, made.dispatcher.room(None, NO_WAIT)) == (1, 0)
    made.let_all_go()
    assert made.dispatcher.wait_idle(PATIENCE)
    made.idle()
    assert made.began == [running]


def test_what_comes_after_the_close_is_returned(pool: Callable[[int], Pool]) -> None:
    made = pool(1)
    assert made.dispatcher.close() == []
    late = some(2)
    assert made.dispatcher.accept(late) == late
    assert made.dispatcher.in_flight == 0


def test_a_close_wakes_who_waits_for_room(pool: Callable[[int], Pool]) -> None:
    made = pool(1)
    made.accept(some(2), running=1)
    found: list[int] = []
    asking = threading.Thread(
        target=lambda: found.append(made.dispatcher.room(None, PATIENCE)), daemon=True
    )
    asking.start()
    made.dispatcher.close()
    asking.join(PATIENCE / 2)
    assert found == [0]


def test_a_second_close_returns_nothing(pool: Callable[[int], Pool]) -> None:
    made = pool(1)
    made.accept(some(2), running=1)
    assert len(made.dispatcher.close()) == 1
    assert made.dispatcher.close() == []
    assert made.dispatcher.in_flight == 1


def test_waiting_for_idle_gives_up_in_time(pool: Callable[[int], Pool]) -> None:
    made = pool(1)
    made.accept(some(1))
    assert not made.dispatcher.wait_idle(0.01)
    made.let_all_go()
    assert made.dispatcher.wait_idle(PATIENCE)


def test_tasks_do_not_pile_up_while_all_threads_are_busy(pool: Callable[[int], Pool]) -> None:
    made = pool(2)
    running = some(2)
    made.accept(running)
    for first in range(2, 200, 2):
        made.let_go(*running)
        eventually(lambda: made.dispatcher.busy == 0)
        running = some(2, first)
        made.accept(running)
        waiting = some(8, 1000 + first * 8)
        made.dispatcher.accept(waiting)
        made.let_go(*waiting)
    assert made.dispatcher._pool._work_queue.qsize() <= 2
    made.let_all_go()
    made.idle()


@pytest.mark.parametrize(
    ("held_up", "limit", "room"),
    [
        ([delivery(0)], 1, 1),
        ([large(0, MOST_TEXT)], None, 10),
        # Who waits behind the stuck one is held up by it as well.
        ([delivery(0), delivery(0)], 1, 1),
        ([delivery(0), large(0, MOST_TEXT)], None, 10),
    ],
)
def test_who_is_stuck_beyond_the_deadline_does_not_keep_others_out(
    held_up: list[Delivery], limit: int | None, room: int
) -> None:
    clock = FakeClock()
    entered, leave = threading.Event(), threading.Event()

    def work(one: Delivery) -> None:
        entered.set()
        assert leave.wait(PATIENCE)

    dispatcher = Dispatcher(4, work, clock, deadline=40.0)
    assert dispatcher.accept(held_up) == []
    assert entered.wait(PATIENCE)
    assert dispatcher.room(limit, NO_WAIT) == 0
    clock.advance(40.5)
    assert dispatcher.room(limit, NO_WAIT) == room
    leave.set()
    eventually(lambda: dispatcher.in_flight == 0)
    dispatcher.shutdown()


def test_who_is_stuck_outside_the_pool_does_not_keep_others_out() -> None:
    clock = FakeClock()
    dispatcher = Dispatcher(4, lambda one: None, clock, deadline=40.0)
    with dispatcher.exclusive("rsv_0", NO_WAIT):
        assert dispatcher.accept([large(0, MOST_TEXT)]) == []
        assert dispatcher.room(None, NO_WAIT) == 0
        clock.advance(40.5)
        assert dispatcher.room(None, NO_WAIT) == 10
    eventually(lambda: dispatcher.in_flight == 0)
    dispatcher.shutdown()


def test_copies_behind_a_stuck_one_leave_when_their_lease_is_over(
    pool: Callable[[int], Pool],
) -> None:
    made = pool(2)
    stuck = delivery(0, "rsv_1")
    made.accept([stuck])
    for number in range(1, 50):
        copy, other = delivery(number, "rsv_1"), delivery(number, "rsv_1")
        copy.lease.deadline = made.clock() + 1.0
        assert made.dispatcher.accept([copy]) == []
        made.clock.advance(1.0)
        # It goes with the next receive, whatever that brings.
        assert made.dispatcher.accept([other]) == [copy]
        other.lease.deadline = made.clock()
        assert made.dispatcher.accept([]) == [other]
    assert made.dispatcher.in_flight == 1
    made.let_all_go()
    made.idle()
    assert made.ended == [stuck]


# Who handles a reservation outside the pool.


def test_a_key_that_is_kept_makes_its_deliveries_wait_and_no_others(
    pool: Callable[[int], Pool],
) -> None:
    made = pool(2)
    made.let_all_go()
    mine, other = delivery(1, "rsv_1"), delivery(2, "rsv_2")
    with made.dispatcher.exclusive("rsv_1", NO_WAIT) as alone:
        assert alone
        assert made.dispatcher.accept([mine, other]) == []
        eventually(lambda: made.ended == [other])
        assert (made.dispatcher.in_flight, made.dispatcher.busy) == (1, 0)
        assert not made.dispatcher.wait_idle(NO_WAIT)
    made.idle()
    assert made.ended == [other, mine]
    assert made.dispatcher.wait_idle(PATIENCE)


def test_a_key_is_not_kept_while_a_delivery_has_it(pool: Callable[[int], Pool]) -> None:
    made = pool(2)
    made.accept([delivery(1, "rsv_1")])
    with made.dispatcher.exclusive("rsv_1", NO_WAIT) as alone:
        assert not alone
    waiting: list[bool] = []

    def wait() -> None:
        with made.dispatcher.exclusive("rsv_1", PATIENCE) as alone:
            waiting.append(alone)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    made.let_all_go()
    thread.join(PATIENCE)
    assert waiting == [True]


def test_after_a_close_no_key_is_kept_and_what_waits_for_one_is_returned(
    pool: Callable[[int], Pool],
) -> None:
    made = pool(2)
    one = delivery(1, "rsv_1")
    with made.dispatcher.exclusive("rsv_1", NO_WAIT) as first:
        assert first
        made.dispatcher.accept([one])
        assert made.dispatcher.close() == [one]
        with made.dispatcher.exclusive("rsv_2", PATIENCE) as second:
            assert not second
    made.let_all_go()
    assert made.began == []


def test_a_key_comes_back_when_its_holder_fails(pool: Callable[[int], Pool]) -> None:
    made = pool(1)
    with pytest.raises(ValueError, match="ours"), made.dispatcher.exclusive("rsv_1", NO_WAIT):
        raise ValueError("ours")
    made.accept([delivery(1, "rsv_1")])
    made.let_all_go()
    made.idle()
