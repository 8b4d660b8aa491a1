"""When the breaker opens, and for how long (docs/contract.md#breaker)."""

import pytest

from reservation_worker.errors import BreakerOpen
from reservation_worker.resilience.breaker import State
from tests.unit.resilience.breaker_world import World

# Closed: when it opens, and when it doesn't.


def test_a_new_breaker_is_closed_and_limits_nothing(world: World) -> None:
    assert world.breaker.state is State.CLOSED
    assert world.breaker.limit() is None
    assert world.breaker.remaining() == 0.0
    assert not world.breaker.probe_due()


def test_twenty_calls_in_ten_seconds_of_which_half_failed_open_it(world: World) -> None:
    for _ in range(9):
        world.call(ok=True)
        world.call(ok=False)
    world.call(ok=True)
    assert world.breaker.state is State.CLOSED
    world.call(ok=False)
    assert world.breaker.state is State.OPEN


def test_nineteen_calls_do_not_open_it_even_if_most_failed(world: World) -> None:
    world.call(ok=False, times=9)
    world.call(ok=True)
    world.call(ok=False, times=9)
    assert world.breaker.state is State.CLOSED
    world.call(ok=False)
    assert world.breaker.state is State.OPEN


def test_just_less_than_half_failed_does_not_open_it(world: World) -> None:
    world.call(ok=True)
    for _ in range(100):
        world.call(ok=True)
        world.call(ok=False)
    assert world.breaker.state is State.CLOSED
    world.call(ok=False)
    assert world.breaker.state is State.OPEN


def test_calls_older_than_ten_seconds_no_longer_count(world: World) -> None:
    world.call(ok=False, times=9)
    world.call(ok=True)
    world.now += 10
    world.call(ok=False, times=9)
    assert world.breaker.state is State.CLOSED


def test_calls_of_the_last_nine_seconds_still_count(world: World) -> None:
    world.call(ok=False, times=9)
    world.call(ok=True)
    world.now += 9
    world.call(ok=False, message="poison", times=9)
    assert world.breaker.state is State.CLOSED
    world.call(ok=False, message="poison")  # the twentieth
    assert world.breaker.state is State.OPEN


def test_old_good_calls_do_not_hide_that_everything_fails_now(world: World) -> None:
    world.call(ok=True, times=1000)
    world.now += 10
    world.call(ok=False, message="poison", times=19)
    assert world.breaker.state is State.CLOSED
    world.call(ok=False, message="poison")
    assert world.breaker.state is State.OPEN


def test_ten_failures_in_a_row_from_five_messages_open_it(world: World) -> None:
    for number in range(9):
        world.call(ok=False, message=f"m{number % 5}")
    assert world.breaker.state is State.CLOSED
    world.call(ok=False, message="m4")
    assert world.breaker.state is State.OPEN


def test_a_row_of_failures_may_be_spread_over_any_time(world: World) -> None:
    for number in range(10):
        world.now += 60
        world.call(ok=False, message=f"m{number % 5}")
    assert world.breaker.state is State.OPEN


def test_a_row_from_four_messages_does_not_open_it_until_a_fifth_fails_too(world: World) -> None:
    for number in range(60):
        world.now += 1  # never twenty calls in ten seconds
        world.call(ok=False, message=f"m{number % 4}")
    assert world.breaker.state is State.CLOSED
    world.call(ok=False, message="the fifth")
    assert world.breaker.state is State.OPEN


def test_one_good_call_ends_the_row(world: World) -> None:
    for number in range(9):
        world.now += 5
        world.call(ok=False, message=f"m{number}")
    world.call(ok=True)
    for number in range(9):
        world.now += 5
        world.call(ok=False, message=f"m{number}")
    assert world.breaker.state is State.CLOSED


def test_one_good_call_also_forgets_the_messages_of_the_row(world: World) -> None:
    for number in range(4):
        world.now += 5
        world.call(ok=False, message=f"m{number}")
    world.call(ok=True)
    for _ in range(10):
        world.now += 5
        world.call(ok=False, message="poison")
    assert world.breaker.state is State.CLOSED


# Open.


def test_an_open_breaker_refuses_calls_with_the_rest_of_its_time(world: World) -> None:
    world.open()
    world.now += 2
    with pytest.raises(BreakerOpen, match="inventory") as refused:
        world.breaker.admit()
    assert refused.value.retry_after == pytest.approx(3.0)
    assert world.breaker.limit() == 0


def test_the_open_time_doubles_from_5_s_to_30_s_while_probes_fail(world: World) -> None:
    world.open()
    opened = [world.breaker.remaining()] + [world.fail_probe() for _ in range(5)]
    assert opened == pytest.approx([5, 10, 20, 30, 30, 30])


@pytest.mark.parametrize(("dice", "share"), [(0.0, 0.9), (0.25, 0.95), (0.5, 1.0), (0.999, 1.1)])
def test_jitter_varies_every_open_time_by_at_most_a_tenth(
    world: World, dice: float, share: float
) -> None:
    world.dice = dice
    world.open()
    opened = [world.breaker.remaining()] + [world.fail_probe() for _ in range(4)]
    assert opened == pytest.approx([share * own for own in (5, 10, 20, 30, 30)], rel=1e-3)


def test_jitter_does_not_add_up(world: World) -> None:
    world.dice = 0.999
    world.open()
    world.dice = 0.5
    assert [world.fail_probe() for _ in range(3)] == pytest.approx([10, 20, 30])


def test_the_probe_is_due_only_when_the_open_time_is_over(world: World) -> None:
    world.open()
    world.now += 4.999
    assert not world.breaker.probe_due()
    world.now += 0.001
    assert world.breaker.probe_due()


def test_waiting_alone_does_not_let_calls_through(world: World) -> None:
    world.open()
    world.now += 3600
    assert world.breaker.state is State.OPEN
    with pytest.raises(BreakerOpen) as refused:
        world.breaker.admit()
    assert refused.value.retry_after == 0.0


def test_a_failed_probe_leaves_it_open_without_a_second_alarm(world: World) -> None:
    world.open()
    world.fail_probe()
    assert world.breaker.state is State.OPEN
    assert world.breaker.limit() == 0
    assert not world.breaker.probe_due()
    assert world.changes == [("inventory", State.OPEN)]


def test_a_probe_that_nobody_waits_for_changes_nothing(world: World) -> None:
    for ok in (True, False):
        world.breaker.probed(ok=ok)
    assert world.breaker.state is State.CLOSED
    world.half_open()
    world.call(ok=True, times=3)
    for ok in (True, False):
        world.breaker.probed(ok=ok)
    assert world.breaker.state is State.HALF_OPEN
    assert world.breaker.limit() == 4
