"""Half-open: the slow start, and calls that outlive the state they were admitted in."""

import pytest

from reservation_worker.resilience.breaker import Breaker, State
from tests.unit.resilience.breaker_world import World


def test_half_open_takes_one_message_then_one_more_for_each_good_call(world: World) -> None:
    world.half_open()
    limits = []
    for _ in range(5):
        limits.append(world.breaker.limit())
        world.call(ok=True)
    assert limits == [1, 2, 3, 4, 5]


def test_twenty_good_calls_close_it(world: World) -> None:
    world.half_open()
    world.call(ok=True, times=19)
    assert world.breaker.state is State.HALF_OPEN
    world.call(ok=True)
    assert world.breaker.state is State.CLOSED
    assert world.breaker.limit() is None


def test_ten_seconds_without_a_failed_call_close_it(world: World) -> None:
    world.half_open()
    world.now += 9.9
    assert world.breaker.limit() == 1
    world.now += 0.1
    assert world.breaker.limit() is None
    assert world.changes[-1] == ("inventory", State.CLOSED)


def test_a_failed_call_starts_the_ten_seconds_anew(world: World) -> None:
    world.half_open()
    world.call(ok=True, times=3)
    world.now += 9
    world.call(ok=False)
    world.now += 9
    assert world.breaker.limit() == 4
    world.now += 1
    assert world.breaker.limit() is None


def test_messages_that_need_no_call_let_more_in_but_do_not_close_it(world: World) -> None:
    world.half_open()
    for _ in range(100):
        world.breaker.spare()
    assert world.breaker.limit() == 21
    assert world.breaker.state is State.HALF_OPEN
    world.call(ok=False)
    assert world.breaker.state is State.OPEN


def test_the_first_call_decides_alone_a_failure_reopens_it_for_twice_as_long(world: World) -> None:
    world.half_open()
    world.call(ok=False)
    assert world.breaker.state is State.OPEN
    assert world.breaker.remaining() == pytest.approx(10)


def test_a_rare_failure_during_the_ramp_does_not_reopen_it(world: World) -> None:
    world.half_open()
    for _ in range(6):
        world.call(ok=True, times=3)
        world.call(ok=False)
    assert world.breaker.state is State.HALF_OPEN
    assert world.breaker.limit() == 19
    world.call(ok=True, times=2)
    assert world.breaker.state is State.CLOSED


def test_half_of_the_ramps_calls_failing_reopens_it(world: World) -> None:
    world.half_open()
    world.call(ok=True, times=3)
    world.call(ok=False, times=2)
    assert world.breaker.state is State.HALF_OPEN
    world.call(ok=False)
    assert world.breaker.state is State.OPEN


def reopen(world: World, message: str) -> None:
    world.call(ok=False, message=message)
    assert world.breaker.state is State.OPEN
    world.now += world.breaker.remaining()
    world.breaker.probed(ok=True)


def test_messages_that_always_fail_and_always_come_first_cannot_keep_it_open(world: World) -> None:
    world.half_open()
    bad = ["m1", "m2", "m3"]
    for message in bad:
        reopen(world, message)
    for message in bad:
        world.call(ok=False, message=message)
    assert world.breaker.state is State.HALF_OPEN
    assert world.breaker.limit() == 1
    world.call(ok=True, times=20)
    assert world.breaker.state is State.CLOSED


def test_a_message_that_has_reopened_it_leaves_the_decision_to_the_next(world: World) -> None:
    world.half_open()
    reopen(world, "m1")
    world.call(ok=False, message="m1")
    world.call(ok=False)
    assert world.breaker.state is State.OPEN


def test_failures_of_a_message_that_has_reopened_it_still_put_off_its_closing(world: World) -> None:
    world.half_open()
    reopen(world, "m1")
    world.now += 9
    world.call(ok=False, message="m1")
    world.now += 9
    assert world.breaker.limit() == 1
    world.now += 1
    assert world.breaker.limit() is None


def test_a_message_that_reopened_it_can_do_so_again_after_it_was_closed(world: World) -> None:
    world.half_open()
    reopen(world, "m1")
    world.call(ok=True, times=20)
    world.half_open()
    reopen(world, "m1")


def test_the_open_time_starts_over_only_after_it_was_closed(world: World) -> None:
    world.half_open()
    world.call(ok=True, times=20)
    world.open()
    assert world.breaker.remaining() == pytest.approx(5)


def test_failures_from_before_it_opened_do_not_count_after_it_closed(world: World) -> None:
    world.half_open()
    world.call(ok=True, times=20)
    world.call(ok=False, times=9)
    assert world.breaker.state is State.CLOSED


# Calls that outlive the state they were admitted in, and the hook.


def test_calls_admitted_before_it_opened_do_not_count_half_open(world: World) -> None:
    stale = [world.breaker.admit() for _ in range(30)]
    world.half_open()
    for ticket in stale[:10]:
        world.breaker.record(ticket, "late and bad", ok=False)
    for ticket in stale[10:]:
        world.breaker.record(ticket, "late and good", ok=True)
    assert world.breaker.state is State.HALF_OPEN
    assert world.breaker.limit() == 1


def test_calls_admitted_half_open_do_not_count_closed(world: World) -> None:
    world.half_open()
    stale = [world.breaker.admit() for _ in range(10)]
    world.call(ok=True, times=20)
    for number, ticket in enumerate(stale):
        world.breaker.record(ticket, f"late{number}", ok=False)
    assert world.breaker.state is State.CLOSED


def test_a_late_failure_does_not_prolong_the_open_time(world: World) -> None:
    stale = world.breaker.admit()
    world.open()
    world.now += 4
    world.breaker.record(stale, "late", ok=False)
    assert world.breaker.remaining() == pytest.approx(1)


def test_every_change_of_state_is_reported_once_and_outside_the_lock(world: World) -> None:
    seen_inside: list[tuple[State, int | None]] = []

    def look(name: str, state: State) -> None:
        # Would wait for ever if the breaker still held its lock.
        seen_inside.append((state, breaker.limit()))

    breaker = world.breaker = Breaker("api", lambda: world.now, lambda: world.dice, look)
    world.half_open()
    world.call(ok=False)
    world.now += breaker.remaining()
    breaker.probed(ok=True)
    world.call(ok=True, times=20)
    assert seen_inside == [
        (State.OPEN, 0),
        (State.HALF_OPEN, 1),
        (State.OPEN, 0),
        (State.HALF_OPEN, 1),
        (State.CLOSED, None),
    ]
