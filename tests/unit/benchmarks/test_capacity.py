"""The capacity plan's pods, queue and runs, against cases computed by hand."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.capacity import figures
from benchmarks.capacity.figures import (
    Pod,
    WorkerFigures,
    read_figures,
    shipped_pod,
    shipped_scaling,
)
from benchmarks.capacity.fleet import IN_FLIGHT_LIMIT, Fleet, Retries
from benchmarks.capacity.sale import TICK, Mix, flash_sale, peak, throttled, wave
from benchmarks.capacity.scaler import Direction, Policy, Scaling
from benchmarks.capacity.simulation import JITTER, SimulationResult, simulate

UP = Direction(0, (Policy("Percent", 100, 15), Policy("Pods", 10, 15)))
DOWN = Direction(120, (Policy("Percent", 25, 60), Policy("Pods", 2, 60)))
SCALING = Scaling(
    polling=10,
    cooldown=60,
    least=0,
    most=50,
    queue_length=10,
    in_flight_counts=True,
    up=UP,
    down=DOWN,
)
# 20 threads of 100 ms: 200 events/s; half a core of 2 ms: 250; a process at its best: 300.
WORKER = WorkerFigures(
    cpu_per_event=0.002,
    thread_per_event=0.1,
    neighbours=0.08,
    cores=0.6,
    start_cpu=0.5,
    calls_per_event=0.2,
)
POD = Pod(WORKER, concurrency=20, cpu=0.5, neighbours=0.08)
SALE = Mix(approved=0.6, failed=0.1, payment_from=5, payment_to=55, hold=60)


# Inputs


def test_the_slower_of_threads_and_cpu_sets_a_pods_rate() -> None:
    assert POD.rate == pytest.approx(200)
    assert replace(POD, concurrency=50).rate == pytest.approx(250)
    assert replace(POD, concurrency=50, cpu=1.0).rate == pytest.approx(300)
    # 400 ms at the neighbours and 20 of its own.
    assert replace(POD, neighbours=0.4).rate == pytest.approx(20 / 0.42)


def test_a_start_takes_its_cpu_time_under_the_limit() -> None:
    assert POD.start == pytest.approx(1.0)
    assert replace(POD, cpu=2.0).start == pytest.approx(0.5)


def test_the_model_of_the_measured_pod_has_the_measured_rate() -> None:
    measured = read_figures(figures.MEASURED)
    worker = WorkerFigures.from_figures(measured)
    pod = Pod(worker, round(measured["concurrency"]), 1.0, worker.neighbours)
    assert pod.rate == pytest.approx(measured["events_per_second"])


def test_the_settings_come_from_the_manifests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("keda.yaml", "deployment.yaml"):
        text = (figures._BASE / name).read_text()
        text = text.replace("maxReplicaCount: 50", "maxReplicaCount: 7")
        text = text.replace('queueLength: "10"', 'queueLength: "33"')
        (tmp_path / name).write_text(text.replace("cpu: 500m", "cpu: 2"))
    monkeypatch.setattr(figures, "_BASE", tmp_path)
    scaling = shipped_scaling()
    assert (scaling.most, scaling.queue_length) == (7, 33)
    assert shipped_pod(WORKER).cpu == 2.0


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"a": 1}', '{"a": {"value": "2"}}', '{"a": {"value": 0}}']
)
def test_a_figure_that_is_not_a_number_is_refused_with_the_files_name(
    text: str, tmp_path: Path
) -> None:
    path = tmp_path / "measured.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"measured\.json"):
        read_figures(path)


# Arrivals


def test_each_reservation_of_a_sale_ends_in_one_event_at_its_time() -> None:
    counts = flash_sale(100, 10, SALE, random.Random(3))
    assert sum(counts) == 1_000
    assert sum(counts[: round(5 / TICK)]) == 0
    late = flash_sale(100, 10, replace(SALE, approved=0, failed=0), random.Random(3))
    assert sum(late[: round(60 / TICK)]) == 0
    assert all(9 <= count <= 11 for count in late[round(60 / TICK) : round(70 / TICK)])


def test_a_throttle_delays_events_and_drops_none() -> None:
    passed = throttled([500, 0, 0, 700], 100)
    assert sum(passed) == 1_200
    assert len(passed) == pytest.approx(120, abs=1)
    assert peak(passed) <= 101


def test_a_wave_rises_and_falls() -> None:
    counts = wave(10, 100, 60, random.Random(3))
    third = len(counts) // 3
    low, high, end = (sum(counts[n : n + third]) for n in (0, third, 2 * third))
    assert high > 1.5 * low
    assert high > 1.5 * end
    # On average 55/s.
    assert sum(counts) == pytest.approx(3_300, rel=0.1)


# The queue and the pods


def balanced(fleet: Fleet) -> bool:
    """Every event is in exactly one place, and pods hold no more than they can."""
    together = fleet.settled + fleet.waiting + fleet.in_work + fleet.delayed
    return (
        fleet.arrived == together
        and min(fleet.waiting, fleet.in_work, fleet.delayed, fleet.ready) >= 0
        and fleet.in_work <= fleet.ready * fleet.pod.slots
        and fleet.settled == sum(count for _, _, count in fleet.delays)
    )


@given(
    steps=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 6)), max_size=40),
    share=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_an_arrived_event_is_settled_waits_or_is_in_work_whatever_the_pods_do(
    steps: list[tuple[int, int]], share: float
) -> None:
    fleet = Fleet(POD, Retries(share, 0.5))
    for number, (arrivals, pods) in enumerate(steps):
        now = number * TICK
        fleet.scale(pods, iter([now + 0.1] * 6))
        assert fleet.pods == pods
        fleet.step(now, arrivals)
        assert balanced(fleet)


def test_a_removed_pod_gives_its_messages_back_and_the_oldest_stay_first() -> None:
    fleet = Fleet(replace(POD, cpu=0.002))  # 1 event/s: nothing is settled yet
    fleet.scale(1, iter([0.0]))
    for now, arrivals in ((0.0, 10), (0.1, 10), (0.2, 15)):
        fleet.step(now, arrivals)
    assert (fleet.in_work, fleet.waiting) == (30, 5)
    fleet.scale(0, iter([]))
    assert (fleet.in_work, fleet.waiting) == (0, 35)
    fleet.pod = POD
    fleet.scale(1, iter([0.3]))
    fleet.step(0.3, 0)
    fleet.step(0.4, 0)
    # 200 events/s for 0.1 s: those of 0.0 s, then those of 0.1 s.
    assert [(round(delay, 2), count) for _, delay, count in fleet.delays] == [(0.4, 10), (0.3, 10)]


def test_pods_that_still_start_are_removed_first() -> None:
    fleet = Fleet(POD)
    fleet.scale(1, iter([0.0]))
    fleet.step(0.0, 0)
    fleet.scale(3, iter([5.0, 6.0]))
    fleet.scale(2, iter([]))
    assert (fleet.ready, fleet.starting) == (1, [5.0])


def test_no_more_than_the_limit_is_in_flight() -> None:
    run = simulate([200_000], SCALING, replace(POD, concurrency=200_000), 0, 1, time_limit=60)
    assert run.most_in_flight == IN_FLIGHT_LIMIT
    assert run.limit_hit_at is not None
    small = simulate([2_000], SCALING, POD, 0, 1)
    assert small.limit_hit_at is None


def test_a_message_given_back_is_in_flight_until_its_delay_ends() -> None:
    fleet = Fleet(POD, Retries(1.0, 3.0))
    fleet.scale(1, iter([0.0]))
    fleet.step(0.0, 20)
    fleet.step(0.1, 0)
    assert (fleet.in_work, fleet.delayed, fleet.in_flight) == (0, 20, 20)
    fleet.step(3.0, 0)
    assert fleet.delayed == 20
    fleet.step(3.1, 0)
    assert (fleet.in_work, fleet.delayed) == (20, 0)


# Whole runs


def test_one_pod_works_off_a_backlog_at_its_rate() -> None:
    run = simulate([2_000], replace(SCALING, most=1), POD, schedule=5, seed=1)
    first = run.delays[0][0]
    # A poll within 10 s, then 5 + 1 s of start give or take the jitter.
    assert 6 * (1 - JITTER) <= first <= 10 + 6 * (1 + JITTER) + 2 * TICK
    # 2,000 events at 200 a second.
    assert run.settled_at - first == pytest.approx(10, abs=2 * TICK)
    assert run.delay(0.5) == pytest.approx(first + 5, abs=2 * TICK)
    assert run.delay(1.0) == run.settled_at
    # The pod goes at the first poll a cooldown after the last poll that saw a message.
    assert SCALING.cooldown < run.seconds - run.settled_at + SCALING.polling
    assert run.seconds - run.settled_at <= SCALING.cooldown + SCALING.polling + TICK


def test_a_run_with_retries_and_scaling_is_balanced_at_every_step() -> None:
    arrivals = flash_sale(2_000, 5, SALE, random.Random(1))
    ticks: list[bool] = []
    on_tick: Callable[[float, Fleet], None] = lambda _, fleet: ticks.append(balanced(fleet))  # noqa: E731
    run = simulate(arrivals, SCALING, POD, 5, 1, Retries(0.2, 4), on_tick=on_tick)
    assert run.settled == 10_000
    assert run.most_pods > 1
    assert len(ticks) > 600
    assert all(ticks)


def test_the_same_seed_is_the_same_run() -> None:
    runs = [simulate([5_000], SCALING, POD, 5, seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0].points != runs[2].points


def test_a_share_of_the_delays_is_weighed_by_their_events() -> None:
    run = SimulationResult(delays=[(1.0, 5.0, 1), (2.0, 1.0, 94), (3.0, 9.0, 5)])
    assert [run.delay(share) for share in (0.5, 0.94, 0.95, 0.96, 1.0)] == [1.0, 1.0, 5.0, 9.0, 9.0]
    assert run.delay(1.0, until=3.0) == 5.0
    assert run.delay(1.0, since=10.0) == 0.0
