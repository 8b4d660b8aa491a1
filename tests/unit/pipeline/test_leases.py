"""A lease is a local deadline: who holds it may call, who has lost it may not."""

import threading
from collections.abc import Callable

import pytest

from reservation_worker.errors import LeaseLost, LeaseTooShort
from reservation_worker.pipeline.leases import Lease, Leases
from tests.fake_queue import PATIENCE, FakeClock, FakeQueue, eventually, new_metrics, sample

VISIBILITY = 30
CALL = 10.0


class Rig:
    """Leases over a fake queue that has handed out `count` messages just now."""

    def __init__(self, count: int = 1, visibility: int = VISIBILITY) -> None:
        self.clock = FakeClock()
        self.queue = FakeQueue(self.clock, visibility)
        self.metrics = new_metrics()
        self.leases = Leases(self.queue, visibility, self.clock, self.metrics)
        for _ in range(count):
            self.queue.send()
        self.all: list[Lease] = []
        while len(self.all) < count:
            self.all += [
                self.leases.open(message.receipt, self.clock())
                for message in self.queue.receive(10, 0)
            ]
        self.one = self.all[0]

    @property
    def renewals(self) -> list[tuple[str, ...]]:
        """The receipts of each renewal so far."""
        return [receipts for receipts, _ in self.queue.calls("change_visibility")]

    def left(self, lease: Lease) -> float:
        return lease.deadline - self.clock()


# Holding and losing.


def test_a_lease_is_counted_from_the_receives_return() -> None:
    rig = Rig()
    lease = rig.leases.open("receipt", received_at=rig.clock() - 12)
    rig.clock.advance(VISIBILITY - 12 - 0.125)
    assert rig.leases.held(lease)
    rig.clock.advance(0.125)
    assert not rig.leases.held(lease)


def test_a_lost_lease_allows_no_call_and_asks_for_no_renewal() -> None:
    rig = Rig()
    rig.clock.advance(VISIBILITY)
    with pytest.raises(LeaseLost):
        rig.leases.begin_call(rig.one, CALL)
    rig.leases.tick()
    assert rig.renewals == []


def test_a_fenced_lease_allows_no_call_and_is_not_renewed() -> None:
    rig = Rig()
    assert rig.leases.fence(rig.one) == 0
    assert not rig.leases.held(rig.one)
    with pytest.raises(LeaseLost):
        rig.leases.begin_call(rig.one, CALL)
    rig.clock.advance(VISIBILITY * 0.9)
    rig.leases.tick()
    assert rig.renewals == []


def test_the_fence_says_how_long_the_call_in_flight_may_still_take() -> None:
    rig = Rig()
    rig.leases.begin_call(rig.one, CALL)
    rig.clock.advance(4)
    assert rig.leases.fence(rig.one) == 6


def test_the_fence_knows_that_the_call_has_ended() -> None:
    rig = Rig()
    rig.leases.begin_call(rig.one, CALL)
    rig.leases.end_call(rig.one)
    assert rig.leases.fence(rig.one) == 0


def test_a_fence_between_the_check_and_the_call_still_stops_the_call() -> None:
    rig = Rig()
    asked = 0

    def clock() -> float:
        nonlocal asked
        asked += 1
        if asked == 2:  # the lease has just been found to be held
            rig.leases.fence(rig.one)
        return rig.clock()

    rig.leases._clock = clock
    with pytest.raises(LeaseLost):
        rig.leases.begin_call(rig.one, CALL)


# What a call may take.


def test_a_call_with_enough_time_left_costs_no_call_of_sqs() -> None:
    rig = Rig()
    rig.clock.advance(VISIBILITY - CALL)
    assert rig.leases.begin_call(rig.one, CALL) == CALL
    assert rig.renewals == []


def test_a_call_starts_only_with_its_own_timeout_left_on_the_lease() -> None:
    rig = Rig()
    rig.clock.advance(VISIBILITY - CALL + 0.5)
    assert rig.leases.begin_call(rig.one, CALL) == CALL
    assert rig.renewals == [("m1#1",)]
    assert rig.left(rig.one) == VISIBILITY
    assert rig.queue.hidden_for("m1") == VISIBILITY


def test_where_the_visibility_is_shorter_than_a_call_the_call_gets_what_is_left() -> None:
    rig = Rig(visibility=6)
    rig.clock.advance(2)
    assert rig.leases.begin_call(rig.one, CALL) == 4
    assert rig.renewals == []
    rig.clock.advance(2)
    assert rig.leases.begin_call(rig.one, CALL) == 6
    assert len(rig.renewals) == 1


def test_a_lease_that_is_too_short_and_cannot_be_renewed_is_a_passing_failure() -> None:
    rig = Rig()
    rig.queue.fail("change_visibility")
    rig.clock.advance(25)
    with pytest.raises(LeaseTooShort):
        rig.leases.begin_call(rig.one, CALL)
    assert rig.leases.held(rig.one)


def test_a_lease_that_ends_while_it_is_renewed_is_lost() -> None:
    rig = Rig()
    rig.queue.during("change_visibility", lambda: rig.clock.advance(10))
    rig.clock.advance(25)
    with pytest.raises(LeaseLost):
        rig.leases.begin_call(rig.one, CALL)


def test_beyond_the_messages_deadline_a_short_lease_is_not_renewed_for_a_call() -> None:
    rig = Rig()
    rig.one.renew_until = rig.clock() + 20
    rig.clock.advance(25)
    with pytest.raises(LeaseTooShort):
        rig.leases.begin_call(rig.one, CALL)
    assert rig.renewals == []


# Renewal.


def test_a_lease_is_renewed_below_half_of_its_time() -> None:
    rig = Rig()
    rig.clock.advance(VISIBILITY / 2)
    rig.leases.tick()
    assert rig.renewals == []
    rig.clock.advance(0.125)
    rig.leases.tick()
    assert rig.renewals == [("m1#1",)]
    assert rig.queue.calls("change_visibility")[0][1] == VISIBILITY
    assert rig.left(rig.one) == VISIBILITY
    assert sample(rig.metrics, "worker_leases_renewed_total") == 1


def test_renewals_go_in_batches_of_ten() -> None:
    rig = Rig(count=25)
    rig.clock.advance(20)
    rig.leases.tick()
    assert sorted(map(len, rig.renewals)) == [5, 10, 10]
    assert {receipt for batch in rig.renewals for receipt in batch} == {
        lease.receipt for lease in rig.all
    }
    assert {rig.left(lease) for lease in rig.all} == {VISIBILITY}


def test_a_message_that_waits_is_renewed_for_as_long_as_it_waits() -> None:
    rig = Rig()
    for _ in range(20):
        rig.clock.advance(VISIBILITY * 0.6)
        rig.leases.tick()
    assert rig.leases.held(rig.one)
    assert rig.queue.receive(10, 0) == []


def test_nothing_renews_beyond_the_messages_deadline() -> None:
    rig = Rig()
    rig.one.renew_until = rig.clock() + 4 * CALL
    while rig.leases.held(rig.one):
        rig.clock.advance(4)
        rig.leases.tick()
    # The last renewal may come just before the deadline; it is worth one visibility timeout.
    assert rig.clock() <= rig.one.renew_until + VISIBILITY
    assert [one.id for one in rig.queue.receive(10, 0)] == ["m1"]


def test_a_renewal_counts_from_before_its_call() -> None:
    rig = Rig()
    rig.queue.during("change_visibility", lambda: rig.clock.advance(5))
    rig.clock.advance(20)
    rig.leases.tick()
    assert rig.left(rig.one) == VISIBILITY - 5


def test_a_renewal_answered_after_the_deadline_does_not_revive_the_lease() -> None:
    rig = Rig()
    rig.clock.advance(20)
    # SQS says yes, but by then somebody else may have the message.
    rig.queue.during("change_visibility", lambda: rig.clock.advance(10))
    rig.leases.tick()
    assert not rig.leases.held(rig.one)
    rig.leases.tick()
    assert len(rig.renewals) == 1


def test_a_renewal_that_could_not_be_sent_is_tried_again_while_there_is_time() -> None:
    rig = Rig(count=2)
    rig.queue.fail("change_visibility")
    rig.clock.advance(20)
    rig.leases.tick()
    assert {rig.left(lease) for lease in rig.all} == {10}
    assert sample(rig.metrics, "worker_lease_renewal_failures_total") == 2
    rig.leases.tick()
    assert {rig.left(lease) for lease in rig.all} == {VISIBILITY}


def test_an_entry_that_failed_fails_alone() -> None:
    rig = Rig(count=3)
    rig.queue.fail_entries("change_visibility", positions=[1])
    rig.clock.advance(20)
    rig.leases.tick()
    [batch] = rig.renewals
    left = {lease.receipt: rig.left(lease) for lease in rig.all}
    assert [left[receipt] for receipt in batch] == [VISIBILITY, 10, VISIBILITY]


def test_a_receipt_that_is_of_no_use_any_more_ends_the_lease_at_once() -> None:
    rig = Rig()
    rig.queue.delete([rig.one.receipt])
    rig.clock.advance(20)
    rig.leases.tick()
    assert not rig.leases.held(rig.one)


def test_leases_that_are_over_are_not_kept() -> None:
    rig = Rig(count=3)
    rig.clock.advance(VISIBILITY)
    rig.leases.tick()
    assert not rig.leases._open


# Closing.


def test_a_closed_lease_is_not_renewed() -> None:
    rig = Rig()
    rig.leases.close(rig.one)
    rig.clock.advance(20)
    rig.leases.tick()
    assert rig.renewals == []
    rig.leases.close(rig.one)


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_close_waits_for_a_renewal_under_way() -> None:
    rig = Rig()
    rig.clock.advance(20)
    renewal = rig.queue.hold("change_visibility")
    ticking = in_thread(rig.leases.tick)
    renewal.wait_entered()
    order: list[str] = []

    def close() -> None:
        rig.leases.close_and_wait(rig.one)
        order.append("closed")

    def release() -> None:
        order.append("renewed")
        renewal.release()

    closing = in_thread(close)
    # It has left the set of leases by now; if it did not wait, it would end right after.
    eventually(lambda: rig.leases.count == 0)
    closing.join(0.05)
    release()
    for thread in (closing, ticking):
        thread.join(PATIENCE)
    assert order == ["renewed", "closed"]
    rig.clock.advance(20)
    rig.leases.tick()
    assert len(rig.renewals) == 1


def test_a_close_does_not_wait_for_the_renewal_of_another_lease() -> None:
    rig = Rig(count=2)
    rig.clock.advance(20)
    renewal = rig.queue.hold("change_visibility")
    other = rig.leases.open("m3#1", rig.clock())
    ticking = in_thread(rig.leases.tick)
    renewal.wait_entered()
    closing = in_thread(lambda: rig.leases.close(other))
    closing.join(PATIENCE)
    assert not closing.is_alive()
    renewal.release()
    ticking.join(PATIENCE)


# The thread.


def test_the_thread_renews_by_itself_and_outlives_an_unexpected_error() -> None:
    rig = Rig(visibility=1)

    def fail() -> None:
        raise RuntimeError("a bug")

    rig.queue.during("change_visibility", fail)
    rig.leases.start()
    rig.clock.advance(0.75)
    eventually(lambda: rig.left(rig.one) == 1)
    assert len(rig.renewals) == 2
    rig.leases.stop()


def test_a_renewal_that_fails_unexpectedly_holds_up_no_close() -> None:
    rig = Rig()

    def fail() -> None:
        raise RuntimeError("a bug")

    rig.queue.during("change_visibility", fail)
    rig.clock.advance(20)
    with pytest.raises(RuntimeError):
        rig.leases.tick()
    closing = in_thread(lambda: rig.leases.close(rig.one))
    closing.join(PATIENCE)
    assert not closing.is_alive()


def test_what_waits_behind_something_stuck_is_not_renewed_for_ever() -> None:
    rig = Rig()
    leases = Leases(rig.queue, VISIBILITY, rig.clock, rig.metrics, patience=2 * VISIBILITY)
    lease = leases.open(rig.one.receipt, rig.clock())
    for _ in range(8):
        rig.clock.advance(VISIBILITY * 0.6)
        leases.tick()
    assert not leases.held(lease)
    assert 0 < len(rig.renewals) <= 4


def test_a_call_that_a_slow_renewal_leaves_too_little_time_is_not_started() -> None:
    rig = Rig(visibility=11)
    rig.clock.advance(2)
    rig.queue.during("change_visibility", lambda: rig.clock.advance(2))
    with pytest.raises(LeaseTooShort):
        rig.leases.begin_call(rig.one, 10.0)


# The queue's visibility timeout changes.


def test_a_shorter_visibility_shortens_the_leases_that_are_open() -> None:
    rig = Rig()
    rig.clock.advance(2)
    rig.leases.resize(VISIBILITY - 5)
    assert rig.left(rig.one) == VISIBILITY - 5 - 2
    assert rig.left(rig.leases.open("later", rig.clock())) == VISIBILITY - 5


def test_a_longer_visibility_lengthens_only_the_leases_to_come() -> None:
    rig = Rig()
    rig.leases.resize(VISIBILITY + 30)
    assert rig.left(rig.one) == VISIBILITY
    assert rig.left(rig.leases.open("later", rig.clock())) == VISIBILITY + 30
