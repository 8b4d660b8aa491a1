"""Renewal in batches, in time, and never of a lease that is closed or lost."""

import threading

import pytest

from reservation_worker.pipeline.leases import Leases
from tests.fake_queue import PATIENCE, eventually, sample
from tests.unit.pipeline.lease_rig import CALL, VISIBILITY, LeaseRig, in_thread

# Renewal.


def test_a_lease_is_renewed_below_half_of_its_time() -> None:
    rig = LeaseRig()
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
    rig = LeaseRig(count=25)
    rig.clock.advance(20)
    rig.leases.tick()
    assert sorted(map(len, rig.renewals)) == [5, 10, 10]
    assert {receipt for batch in rig.renewals for receipt in batch} == {
        lease.receipt for lease in rig.all
    }
    assert {rig.left(lease) for lease in rig.all} == {VISIBILITY}


def test_a_message_that_waits_is_renewed_for_as_long_as_it_waits() -> None:
    rig = LeaseRig()
    for _ in range(20):
        rig.clock.advance(VISIBILITY * 0.6)
        rig.leases.tick()
    assert rig.leases.held(rig.one)
    assert rig.queue.receive(10, 0) == []


def test_nothing_renews_beyond_the_messages_deadline() -> None:
    rig = LeaseRig()
    rig.one.renew_until = rig.clock() + 4 * CALL
    while rig.leases.held(rig.one):
        rig.clock.advance(4)
        rig.leases.tick()
    # The last renewal may come just before the deadline; it is worth one visibility timeout.
    assert rig.clock() <= rig.one.renew_until + VISIBILITY
    assert [one.id for one in rig.queue.receive(10, 0)] == ["m1"]


def test_a_renewal_counts_from_before_its_call() -> None:
    rig = LeaseRig()
    rig.queue.during("change_visibility", lambda: rig.clock.advance(5))
    rig.clock.advance(20)
    rig.leases.tick()
    assert rig.left(rig.one) == VISIBILITY - 5


def test_a_renewal_answered_after_the_deadline_does_not_revive_the_lease() -> None:
    rig = LeaseRig()
    rig.clock.advance(20)
    # SQS confirms it, but by then another worker may have the message.
    rig.queue.during("change_visibility", lambda: rig.clock.advance(10))
    rig.leases.tick()
    assert not rig.leases.held(rig.one)
    rig.leases.tick()
    assert len(rig.renewals) == 1


def test_a_renewal_that_could_not_be_sent_is_tried_again_while_there_is_time() -> None:
    rig = LeaseRig(count=2)
    rig.queue.fail("change_visibility")
    rig.clock.advance(20)
    rig.leases.tick()
    assert {rig.left(lease) for lease in rig.all} == {10}
    assert sample(rig.metrics, "worker_lease_renewal_failures_total") == 2
    rig.leases.tick()
    assert {rig.left(lease) for lease in rig.all} == {VISIBILITY}


def test_a_failed_entry_does_not_affect_the_others() -> None:
    rig = LeaseRig(count=3)
    rig.queue.fail_entries("change_visibility", positions=[1])
    rig.clock.advance(20)
    rig.leases.tick()
    [batch] = rig.renewals
    left = {lease.receipt: rig.left(lease) for lease in rig.all}
    assert [left[receipt] for receipt in batch] == [VISIBILITY, 10, VISIBILITY]


def test_a_void_receipt_ends_the_lease_at_once() -> None:
    rig = LeaseRig()
    rig.queue.delete([rig.one.receipt])
    rig.clock.advance(20)
    rig.leases.tick()
    assert not rig.leases.held(rig.one)


def test_expired_leases_are_not_kept() -> None:
    rig = LeaseRig(count=3)
    rig.clock.advance(VISIBILITY)
    rig.leases.tick()
    assert rig.leases.count == 0


# Closing.


def test_a_closed_lease_is_not_renewed() -> None:
    rig = LeaseRig()
    rig.leases.close(rig.one)
    rig.clock.advance(20)
    rig.leases.tick()
    assert rig.renewals == []
    rig.leases.close(rig.one)


def test_a_close_waits_for_a_renewal_under_way() -> None:
    rig = LeaseRig()
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
    rig = LeaseRig(count=2)
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
    rig = LeaseRig(visibility=1)

    def fail() -> None:
        raise RuntimeError("a bug")

    rig.queue.during("change_visibility", fail)
    rig.leases.start()
    rig.clock.advance(0.75)
    eventually(lambda: rig.left(rig.one) == 1)
    assert len(rig.renewals) == 2
    rig.leases.stop()


def test_the_thread_renews_in_time_after_the_visibility_was_lowered() -> None:
    rig = LeaseRig(visibility=int(20 * PATIENCE))
    rig.leases.start()
    eventually(lambda: "leases" in {thread.name for thread in threading.enumerate()})
    rig.clock.advance(1)
    rig.leases.resize(2)
    # The lease has half of its time left. The pause that began before the change is over.
    rig.clock.advance(0.25)
    eventually(lambda: rig.renewals)
    rig.leases.stop()


def test_a_renewal_that_fails_unexpectedly_holds_up_no_close() -> None:
    rig = LeaseRig()

    def fail() -> None:
        raise RuntimeError("a bug")

    rig.queue.during("change_visibility", fail)
    rig.clock.advance(20)
    with pytest.raises(RuntimeError):
        rig.leases.tick()
    closing = in_thread(lambda: rig.leases.close(rig.one))
    closing.join(PATIENCE)
    assert not closing.is_alive()


def test_a_message_that_waits_beyond_the_patience_is_not_renewed() -> None:
    rig = LeaseRig()
    leases = Leases(rig.queue, VISIBILITY, rig.clock, rig.metrics, patience=2 * VISIBILITY)
    lease = leases.open(rig.one.receipt, rig.clock())
    for _ in range(8):
        rig.clock.advance(VISIBILITY * 0.6)
        leases.tick()
    assert not leases.held(lease)
    assert 0 < len(rig.renewals) <= 4
