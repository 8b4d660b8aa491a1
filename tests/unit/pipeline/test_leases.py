"""A lease is a local deadline: calls start only under a lease that is held."""

import pytest

from reservation_worker.errors import LeaseLost, LeaseTooShort
from reservation_worker.pipeline.leases import Leases
from tests.unit.pipeline.lease_rig import CALL, VISIBILITY, LeaseRig

# Holding and losing.


def test_a_lease_is_counted_from_the_receives_return() -> None:
    rig = LeaseRig()
    lease = rig.leases.open("receipt", received_at=rig.clock() - 12)
    rig.clock.advance(VISIBILITY - 12 - 0.125)
    assert rig.leases.held(lease)
    rig.clock.advance(0.125)
    assert not rig.leases.held(lease)


def test_a_lost_lease_allows_no_call_and_is_not_renewed() -> None:
    rig = LeaseRig()
    rig.clock.advance(VISIBILITY)
    with pytest.raises(LeaseLost):
        rig.leases.begin_call(rig.one, CALL)
    rig.leases.tick()
    assert rig.renewals == []


def test_a_fenced_lease_allows_no_call_and_is_not_renewed() -> None:
    rig = LeaseRig()
    assert rig.leases.fence(rig.one) == 0
    assert not rig.leases.held(rig.one)
    with pytest.raises(LeaseLost):
        rig.leases.begin_call(rig.one, CALL)
    rig.clock.advance(VISIBILITY * 0.9)
    rig.leases.tick()
    assert rig.renewals == []


def test_the_fence_returns_how_long_the_call_in_flight_may_still_take() -> None:
    rig = LeaseRig()
    rig.leases.begin_call(rig.one, CALL)
    rig.clock.advance(4)
    assert rig.leases.fence(rig.one) == 6


def test_the_fence_does_not_wait_for_a_call_that_has_ended() -> None:
    rig = LeaseRig()
    rig.leases.begin_call(rig.one, CALL)
    rig.leases.end_call(rig.one)
    assert rig.leases.fence(rig.one) == 0


def test_a_fence_between_the_check_and_the_call_still_stops_the_call() -> None:
    rig = LeaseRig()
    asked = 0

    def clock() -> float:
        nonlocal asked
        asked += 1
        if asked == 2:  # the lease has just been found to be held
            leases.fence(lease)
        return rig.clock()

    leases = Leases(rig.queue, VISIBILITY, clock, rig.metrics)
    lease = leases.open("m1#1", rig.clock())
    with pytest.raises(LeaseLost):
        leases.begin_call(lease, CALL)


# What a call may take.


def test_a_call_with_enough_time_left_costs_no_call_of_sqs() -> None:
    rig = LeaseRig()
    rig.clock.advance(VISIBILITY - CALL)
    assert rig.leases.begin_call(rig.one, CALL) == CALL
    assert rig.renewals == []


def test_a_call_starts_only_with_its_own_timeout_left_on_the_lease() -> None:
    rig = LeaseRig()
    rig.clock.advance(VISIBILITY - CALL + 0.5)
    assert rig.leases.begin_call(rig.one, CALL) == CALL
    assert rig.renewals == [("m1#1",)]
    assert rig.left(rig.one) == VISIBILITY
    assert rig.queue.hidden_for("m1") == VISIBILITY


def test_where_the_visibility_is_shorter_than_a_call_the_call_gets_the_time_left() -> None:
    rig = LeaseRig(visibility=6)
    rig.clock.advance(2)
    assert rig.leases.begin_call(rig.one, CALL) == 4
    assert rig.renewals == []
    rig.clock.advance(2)
    assert rig.leases.begin_call(rig.one, CALL) == 6
    assert len(rig.renewals) == 1


def test_a_visibility_as_long_as_a_call_does_not_cost_a_renewal_for_each_call() -> None:
    # A lease of 10 s, until the queue's attributes are known, and CALL_TIMEOUT's default are equal.
    rig = LeaseRig(visibility=int(CALL))
    rig.clock.advance(1)
    assert rig.leases.begin_call(rig.one, CALL) == CALL - 1
    assert rig.renewals == []


def test_a_lease_that_is_too_short_and_cannot_be_renewed_is_a_passing_failure() -> None:
    rig = LeaseRig()
    rig.queue.fail("change_visibility")
    rig.clock.advance(25)
    with pytest.raises(LeaseTooShort):
        rig.leases.begin_call(rig.one, CALL)
    assert rig.leases.held(rig.one)


def test_a_lease_that_ends_while_it_is_renewed_is_lost() -> None:
    rig = LeaseRig()
    rig.queue.during("change_visibility", lambda: rig.clock.advance(10))
    rig.clock.advance(25)
    with pytest.raises(LeaseLost):
        rig.leases.begin_call(rig.one, CALL)


def test_beyond_the_messages_deadline_a_short_lease_is_not_renewed_for_a_call() -> None:
    rig = LeaseRig()
    rig.one.renew_until = rig.clock() + 20
    rig.clock.advance(25)
    with pytest.raises(LeaseTooShort):
        rig.leases.begin_call(rig.one, CALL)
    assert rig.renewals == []


def test_a_call_that_a_slow_renewal_leaves_too_little_time_is_not_started() -> None:
    rig = LeaseRig(visibility=11)
    rig.clock.advance(2)
    rig.queue.during("change_visibility", lambda: rig.clock.advance(2))
    with pytest.raises(LeaseTooShort):
        rig.leases.begin_call(rig.one, 10.0)


# The queue's visibility timeout changes.


def test_a_shorter_visibility_shortens_the_leases_that_are_open() -> None:
    rig = LeaseRig()
    rig.clock.advance(2)
    rig.leases.resize(VISIBILITY - 5)
    assert rig.left(rig.one) == VISIBILITY - 5 - 2
    assert rig.left(rig.leases.open("later", rig.clock())) == VISIBILITY - 5


def test_a_longer_visibility_lengthens_only_the_leases_to_come() -> None:
    rig = LeaseRig()
    rig.leases.resize(VISIBILITY + 30)
    assert rig.left(rig.one) == VISIBILITY
    assert rig.left(rig.leases.open("later", rig.clock())) == VISIBILITY + 30
