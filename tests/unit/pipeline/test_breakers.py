"""All breakers together: the strictest decides."""

from collections.abc import Callable

import pytest

from reservation_worker.errors import TransientError
from reservation_worker.pipeline.breakers import PROBE_TIMEOUT, Breakers, ProbedBreaker
from reservation_worker.resilience.breaker import FIRST_OPEN, RAMP, Breaker, State
from tests.fake_queue import FakeClock


class Neighbour:
    """A breaker, and a probe that a test can make fail."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.breaker = Breaker(name, clock, lambda: 0.5)
        self.down = True
        self.probed_with: list[float] = []

    def probe(self, timeout: float) -> None:
        self.probed_with.append(timeout)
        if self.down:
            raise TransientError("refused")

    def fail(self) -> None:
        """Ten failures in a row from different messages: the breaker opens."""
        for number in range(10):
            self.breaker.record(self.breaker.admit(), f"m{number}", ok=False)

    def succeed(self, times: int) -> None:
        for _ in range(times):
            self.breaker.record(self.breaker.admit(), "m", ok=True)


class Rig:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.one = Neighbour("one", self.clock)
        self.two = Neighbour("two", self.clock)
        self.breakers = Breakers(
            {
                "one": ProbedBreaker(self.one.breaker, self.one.probe),
                "two": ProbedBreaker(self.two.breaker, self.two.probe),
            }
        )

    def half_open(self, neighbour: Neighbour) -> None:
        neighbour.fail()
        neighbour.down = False
        self.clock.advance(self.breakers.remaining())
        self.breakers.probe_due_ones()


def test_with_all_closed_there_is_no_limit() -> None:
    breakers = Rig().breakers
    assert not breakers.any_open()
    assert (breakers.limit(), breakers.remaining()) == (None, 0)
    assert breakers.states() == {"one": State.CLOSED, "two": State.CLOSED}


def test_one_that_is_open_pauses_everything() -> None:
    rig = Rig()
    rig.two.fail()
    assert rig.breakers.any_open()
    assert (rig.breakers.limit(), rig.breakers.remaining()) == (0, FIRST_OPEN)
    assert rig.breakers.of("two") is rig.two.breaker


def test_the_longest_open_time_counts() -> None:
    rig = Rig()
    rig.one.fail()
    rig.clock.advance(2)
    rig.two.fail()
    assert rig.breakers.remaining() == FIRST_OPEN


def test_half_open_is_neither_open_nor_closed_and_takes_one_message() -> None:
    rig = Rig()
    rig.half_open(rig.one)
    assert not rig.breakers.any_open()
    assert rig.breakers.limit() == 1


def test_the_smallest_limit_counts() -> None:
    rig = Rig()
    rig.half_open(rig.one)
    rig.one.succeed(3)
    assert rig.breakers.limit() == 4
    rig.half_open(rig.two)
    assert rig.breakers.limit() == 1
    rig.two.succeed(RAMP)
    assert rig.breakers.limit() == 4


def test_a_neighbour_is_probed_only_after_its_open_time() -> None:
    rig = Rig()
    rig.breakers.probe_due_ones()
    rig.one.fail()
    rig.breakers.probe_due_ones()
    assert rig.one.probed_with == rig.two.probed_with == []
    rig.clock.advance(FIRST_OPEN)
    rig.breakers.probe_due_ones()
    assert (rig.one.probed_with, rig.two.probed_with) == ([PROBE_TIMEOUT], [])


def test_a_probe_that_fails_keeps_the_breaker_open_for_longer() -> None:
    rig = Rig()
    rig.one.fail()
    rig.clock.advance(FIRST_OPEN)
    rig.breakers.probe_due_ones()
    assert rig.breakers.states()["one"] is State.OPEN
    assert rig.breakers.remaining() == pytest.approx(2 * FIRST_OPEN)
    rig.breakers.probe_due_ones()
    assert len(rig.one.probed_with) == 1


def test_a_probe_that_goes_well_half_opens_the_breaker() -> None:
    rig = Rig()
    rig.half_open(rig.one)
    assert rig.breakers.states()["one"] is State.HALF_OPEN
