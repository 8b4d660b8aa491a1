"""The last 15 minutes in memory: differences of the metrics, bounded, whatever the clocks do."""

import pytest

from reservation_worker.observability.metrics import BUCKETS, Metrics
from reservation_worker.status import history as module
from reservation_worker.status.history import KEPT, SPAN, STEP, History
from tests.fake_queue import FakeClock, eventually, new_metrics

NOON = 1_767_323_045.0


class Rig:
    def __init__(self) -> None:
        self.metrics: Metrics = new_metrics()
        self.clock, self.wall = FakeClock(), FakeClock(NOON)
        self.in_flight = self.busy = 0
        self.history = History(
            self.metrics,
            lambda: self.in_flight,
            lambda: self.busy,
            self.clock,
            self.wall,
        )

    def settle(self, outcome: str, count: int = 1, seconds: float = 0.08) -> None:
        for kind in ("expired", "approved"):
            self.metrics.events.labels(kind, outcome).inc(count)
            self.metrics.latency.labels(kind).observe(seconds)

    def pass_step(self, seconds: float = STEP) -> None:
        self.clock.advance(seconds)
        self.history.tick()


def test_a_point_holds_the_changes_since_the_last_one() -> None:
    rig = Rig()
    rig.settle("success", 3)
    rig.settle("retried")
    rig.metrics.observe_age(7.0)
    rig.metrics.observe_age(2.0)
    rig.in_flight, rig.busy = 9, 4
    rig.pass_step()
    rig.settle("success", 2)
    rig.pass_step()
    first, second = rig.history.points()
    assert (first.at, first.seconds) == (NOON + STEP, STEP)
    assert (first.outcomes["success"], first.outcomes["retried"], first.outcomes["failed"]) == (
        6, 2, 0,
    )  # fmt: skip
    assert (first.in_flight, first.busy, first.oldest_age) == (9, 4, 7.0)
    assert (second.outcomes["success"], second.outcomes["retried"]) == (4, 0)
    assert second.oldest_age is None


def test_latencies_are_counted_by_bucket_over_all_types() -> None:
    rig = Rig()
    rig.settle("success", seconds=0.08)
    rig.pass_step()
    rig.settle("success", seconds=0.3)
    rig.pass_step()
    first, second = (point.latency for point in rig.history.points())
    assert (first[0.075], first[0.09], first[float("inf")]) == (0, 2, 2)
    assert (second[0.285], second[0.5], second[float("inf")]) == (0, 2, 2)
    assert len(first) == len(BUCKETS) + 1


def test_counts_from_before_the_history_are_not_in_it() -> None:
    rig = Rig()
    rig.settle("success", 1_000_000)
    later = History(rig.metrics, lambda: 0, lambda: 0, rig.clock, rig.wall)
    later.tick()
    [point] = later.points()
    assert sum(point.outcomes.values()) == 0


def test_the_ring_is_bounded_and_loses_the_oldest() -> None:
    rig = Rig()
    for _ in range(KEPT + 10):
        rig.pass_step(1.0)
    points = rig.history.points()
    assert len(points) == KEPT
    assert (points[0].at, points[-1].at) == (NOON + 11, NOON + KEPT + 10)


def test_a_point_older_than_the_span_is_not_shown() -> None:
    rig = Rig()
    rig.pass_step()
    rig.pass_step(SPAN)
    assert [point.seconds for point in rig.history.points()] == [SPAN]


def test_a_late_tick_makes_one_longer_interval() -> None:
    rig = Rig()
    rig.pass_step(7 * STEP)
    rig.pass_step()
    assert [point.seconds for point in rig.history.points()] == [7 * STEP, STEP]


def test_setting_the_wall_clock_does_not_disorder_the_history() -> None:
    rig = Rig()
    rig.pass_step()
    rig.wall.advance(-86_400.0)
    rig.pass_step()
    rig.wall.advance(200_000.0)
    rig.pass_step()
    assert [point.at - NOON for point in rig.history.points()] == [STEP, 2 * STEP, 3 * STEP]


def test_the_thread_ticks_and_a_failing_tick_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []

    def busy() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("once")
        return 0

    rig = Rig()
    history = History(rig.metrics, lambda: 0, busy, rig.clock, rig.wall, step=0.001)
    logged: list[str] = []
    monkeypatch.setattr(module.logger, "exception", logged.append)
    history.start()
    eventually(lambda: len(history.points()) >= 2)
    history.stop()
    assert len(logged) == 1
