"""How many messages the poller may ask for: slots are the back-pressure."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.dispatcher import MOST_TEXT, Dispatcher
from tests.fake_queue import PATIENCE, FakeClock, eventually
from tests.unit.pipeline.pool_rig import NO_WAIT, MakePool, delivery, large, some


def test_slots_are_the_threads_and_one_batch_more(pool: MakePool) -> None:
    assert pool(20).dispatcher.slots == 30


def test_an_idle_worker_asks_for_a_full_batch(pool: MakePool) -> None:
    assert pool(20).dispatcher.room(None, NO_WAIT) == 10
    # Also one with fewer threads than a batch has messages.
    assert pool(1).dispatcher.room(None, NO_WAIT) == 10


def test_with_all_threads_busy_one_batch_may_wait_and_no_more(
    pool: MakePool,
) -> None:
    made = pool(4)
    made.accept(some(4))
    assert made.dispatcher.room(None, NO_WAIT) == 10
    made.accept(some(1, first=10), running=4)
    # Nine are free, but no thread would idle for want of them.
    assert made.dispatcher.room(None, NO_WAIT) == 0


def test_a_waiting_poller_wakes_when_the_next_delivery_of_a_reservation_begins(
    pool: MakePool,
) -> None:
    made = pool(2)
    line = [delivery(number, "rsv_1") for number in range(24)]
    made.accept(line[:12], running=1)
    with ThreadPoolExecutor(1) as poller:
        # A thread idles, but every slot is taken. Several rounds: in one the poller may be late.
        for round_, running in enumerate(line[:12]):
            room = poller.submit(made.dispatcher.room, None, 10 * PATIENCE)
            eventually(room.running)
            made.let_go(running)
            assert room.result(PATIENCE) == 1
            made.accept([line[12 + round_]], running=1)


def test_nothing_is_received_beside_large_messages_until_they_are_settled(
    pool: MakePool,
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


def test_a_thread_that_would_idle_asks_for_less_than_a_batch(
    pool: MakePool,
) -> None:
    made = pool(4)
    # All of one reservation: eleven slots are held, and three threads have nothing to do.
    made.accept([delivery(number, "rsv_1") for number in range(11)], running=1)
    assert made.dispatcher.room(None, NO_WAIT) == 3


def test_without_a_free_slot_nothing_is_asked_for_though_threads_idle(
    pool: MakePool,
) -> None:
    made = pool(4)
    made.accept([delivery(number, "rsv_1") for number in range(14)], running=1)
    assert made.dispatcher.room(None, NO_WAIT) == 0


def test_a_limit_bounds_the_messages_in_flight(pool: MakePool) -> None:
    made = pool(4)
    assert made.dispatcher.room(1, NO_WAIT) == 1
    made.accept(some(1))
    assert made.dispatcher.room(1, NO_WAIT) == 0
    assert made.dispatcher.room(3, NO_WAIT) == 2


def test_a_slot_is_free_again_when_its_delivery_has_ended(pool: MakePool) -> None:
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


def test_a_waiting_poller_wakes_when_a_delivery_ends(pool: MakePool) -> None:
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


def test_a_close_wakes_a_waiting_poller(pool: MakePool) -> None:
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


# Stuck deliveries.


@pytest.mark.parametrize(
    ("held_up", "limit", "room"),
    [
        ([delivery(0)], 1, 1),
        ([large(0, MOST_TEXT)], None, 10),
        # A delivery that waits behind the stuck one is held up as well.
        ([delivery(0), delivery(0)], 1, 1),
        ([delivery(0), large(0, MOST_TEXT)], None, 10),
    ],
)
def test_deliveries_stuck_beyond_the_deadline_do_not_keep_others_out(
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


def test_a_reservation_stuck_outside_the_pool_does_not_keep_others_out() -> None:
    clock = FakeClock()
    dispatcher = Dispatcher(4, lambda one: None, clock, deadline=40.0)
    with dispatcher.exclusive("rsv_0", NO_WAIT):
        assert dispatcher.accept([large(0, MOST_TEXT)]) == []
        assert dispatcher.room(None, NO_WAIT) == 0
        clock.advance(40.5)
        assert dispatcher.room(None, NO_WAIT) == 10
    eventually(lambda: dispatcher.in_flight == 0)
    dispatcher.shutdown()


def test_copies_behind_a_stuck_delivery_leave_when_their_lease_is_over(
    pool: MakePool,
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
