"""The checks of the long runs find growth, broken invariants and lost speed."""

from dataclasses import replace

import pytest

from reservation_worker.simulator.reconcile.report import Report
from tests.faults.harness.case import Case, Mark, Outcome, Sample, Step
from tests.faults.harness.long_run_checks import LongRun, check_outage, check_soak

EVENTS = 1000
STEADY = {"rss_kb": 100_000, "threads": 70, "fds": 100, "in_flight": 50}


def soaked(settled: int = EVENTS, **at_the_end: int) -> LongRun:
    """Samples at every tenth event; from the middle on the workers hold something else."""
    samples = [
        Sample(number, number, 0, **(STEADY if number < EVENTS / 2 else STEADY | at_the_end))
        for number in range(0, settled + 1, 10)
    ]
    return check_soak(Outcome("soak", Case(), EVENTS, 1, Report(), {}, {}, {}, samples))


def test_a_soak_without_growth_is_ok():
    made = soaked()
    assert made.broken == ()
    assert made.figures["rss_growth_percent"] == 0
    assert len(made.figures["rss_mb_of_all_by_tenth"]) == 10


@pytest.mark.parametrize(
    ("allowed", "at_the_end"),
    [
        ("memory just below the limit", {"rss_kb": 104_900}),
        ("less of everything", {"rss_kb": 90_000, "threads": 60, "fds": 80}),
        ("a quarter more descriptors", {"fds": 125}),
    ],
)
def test_a_soak_may_end_with(allowed: str, at_the_end: dict[str, int]):
    assert soaked(**at_the_end).ok, allowed


@pytest.mark.parametrize(
    ("at_the_end", "says"),
    [
        ({"rss_kb": 105_100}, "RSS grew by 5.1%"),
        ({"threads": 71}, "there were 70 threads and are 71"),
        ({"fds": 126}, "there were 100 file descriptors and are 126"),
    ],
)
def test_a_worker_that_grows_is_reported(at_the_end: dict[str, int], says: str):
    assert soaked(**at_the_end).broken == (says,)


def test_memory_that_grows_only_in_the_middle_of_a_soak_is_no_growth():
    made = soaked(rss_kb=200_000)
    late = [one for one in made.outcome.samples if one.settled >= 0.98 * EVENTS]
    calm = [replace(one, rss_kb=STEADY["rss_kb"]) for one in late]
    samples = [*made.outcome.samples[: -len(late)], *calm]
    assert check_soak(replace(made.outcome, samples=samples)).ok


def test_a_soak_that_ended_early_proves_nothing():
    made = soaked(settled=900)
    assert made.broken == ("it did not get far enough",)
    assert made.figures == {}


def test_a_soak_that_broke_an_invariant_reports_it_with_its_growth():
    outcome = replace(soaked(threads=71).outcome, broken={1: ("rsv_1 is lost",)})
    assert check_soak(outcome).broken == ("rsv_1 is lost", "there were 70 threads and are 71")


def outage(recovers_at: float) -> LongRun:
    """20 s of work, 20 s without the neighbour, then half of the speed on a busy machine."""
    step = Step("down", "inventory")
    samples, settled = [], 0
    for at in range(100):
        down = 20 <= at < 40
        settled += 0 if down else 300 if at < 20 else 150
        in_flight = 0 if down else 50 if at < 20 or at >= recovers_at else 5
        samples.append(Sample(at, settled, at, 100_000, 70, 100, in_flight))
    marks = [Mark(step, 20.0), Mark(replace(step, action="clear"), 40.0)]
    figures = {"most_receives_of_a_message": 2}
    made = Outcome("o", Case(), EVENTS, 1, Report(), {}, figures, {}, samples, marks=marks)
    return check_outage(made)


def test_full_speed_after_an_outage_is_as_much_in_flight_as_before_however_slow_the_machine_is():
    made = outage(recovers_at=43)
    assert made.ok
    assert made.figures["seconds_to_full_speed"] == 3
    assert made.figures["events_a_second_before_and_after"] == [300, 150]


def test_workers_that_never_take_as_much_as_before_the_outage_are_reported():
    assert outage(recovers_at=1000).broken == ("it never came back to full speed",)
