"""Checks the promises that only a long run can break. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from tests.faults.harness.case import Outcome, Sample

FULL_SPEED = 0.9
"""The share of the in-flight count before an outage at which workers are back at full speed.

Events a second would also depend on the machine's other work.
"""
_WINDOW = 3.0


@dataclass(frozen=True, slots=True)
class LongRun:
    """`broken`: a sentence for each broken promise, the invariants included."""

    name: str
    figures: Mapping[str, Any]
    broken: tuple[str, ...]
    outcome: Outcome

    @property
    def ok(self) -> bool:
        """Every promise was kept."""
        return not self.broken


def check_soak(outcome: Outcome) -> LongRun:
    """A worker needs no more resources at the end than after a tenth of the events."""
    events = outcome.events
    early = _between(outcome.samples, 0.10 * events, 0.12 * events)
    late = _between(outcome.samples, 0.98 * events, 2 * events)
    broken = _broken(outcome)
    if not early or not late:
        return LongRun(outcome.name, {}, (*broken, "it did not get far enough"), outcome)
    rss = [median(one.rss_kb for one in part) for part in (early, late)]
    growth = rss[1] / rss[0] - 1
    if growth >= 0.05:
        broken.append(f"RSS grew by {growth:.1%}")
    threads, fds = (
        [max(getattr(o, what) for o in part) for part in (early, late)]
        for what in ("threads", "fds")
    )
    if threads[1] > threads[0]:
        broken.append(f"there were {threads[0]} threads and are {threads[1]}")
    # Connections come and go with the faults; a leak would go on for all of the run.
    if fds[1] > 1.25 * fds[0]:
        broken.append(f"there were {fds[0]} file descriptors and are {fds[1]}")
    figures = {
        "events": events,
        "faults_injected": sum(outcome.faults.values()),
        "workers": outcome.case.workers,
        "rss_mb_of_all_after_a_tenth": round(rss[0] / 1024, 1),
        "rss_mb_of_all_at_the_end": round(rss[1] / 1024, 1),
        "rss_growth_percent": round(100 * growth, 2),
        "rss_mb_of_all_by_tenth": [
            round(median(one.rss_kb for one in part) / 1024, 1)
            for tenth in range(10)
            if (part := _between(outcome.samples, tenth * events / 10, (tenth + 1) * events / 10))
        ],
        "most_threads_early_and_late": threads,
        "most_fds_early_and_late": fds,
    }
    return LongRun(outcome.name, figures, tuple(broken), outcome)


def check_drain(outcome: Outcome) -> LongRun:
    """Nearly all stops were under load; the figures have their durations."""
    stops = len(outcome.case.steps)
    under_load = [stop for stop in outcome.stops if stop.in_flight]
    seconds = sorted(stop.seconds for stop in under_load)
    broken = _broken(outcome)
    if len(under_load) < 0.9 * stops:
        broken.append(f"only {len(under_load)} of {stops} stops were under load")
    if len(seconds) < 2:
        return LongRun(outcome.name, {}, tuple(broken), outcome)
    cuts = quantiles(seconds, n=100, method="inclusive")
    figures = {
        "stops_under_load": len(under_load),
        "exit_codes": sorted({stop.code for stop in outcome.stops}),
        "drain_seconds": {
            "least": round(seconds[0], 2),
            **{f"p{percent}": round(cuts[percent - 1], 2) for percent in (50, 90, 95, 99)},
            "most": round(seconds[-1], 2),
        },
        "in_flight_at_the_signal_median": median(stop.in_flight for stop in under_load),
        "events": outcome.events,
    }
    return LongRun(outcome.name, figures, tuple(broken), outcome)


def check_outage(outcome: Outcome) -> LongRun:
    """Full speed came back; the figures show how soon, and the work during the outage."""
    broken = _broken(outcome)
    down, up = (mark.at for mark in outcome.marks)
    # The first seconds are for warming up.
    before = median(one.in_flight for one in outcome.samples if 3 <= one.at <= down)
    after = [one for one in outcome.samples if one.at >= up]
    back = next((one.at - up for one in after if one.in_flight >= FULL_SPEED * before), None)
    rates = [
        median(rate for _, rate in _speeds(outcome.samples, since, until))
        for since, until in ((3, down), (up + (back or 0), float("inf")))
    ]
    during = [one for one in outcome.samples if down <= one.at <= up]
    figures = {
        "seconds_down": round(up - down, 1),
        "receives_meanwhile": during[-1].receives - during[0].receives,
        "settled_meanwhile": during[-1].settled - during[0].settled,
        "dead_letters_by_the_outage": len(outcome.report.unexpected_dead_letters),
        "releases_left_to_a_person": len(outcome.report.releases_to_check),
        "most_receives_of_a_message": outcome.figures["most_receives_of_a_message"],
        "in_flight_before": before,
        "events_a_second_before_and_after": [round(rate) for rate in rates],
        "seconds_to_full_speed": None if back is None else round(back, 1),
    }
    if back is None:
        broken.append("it never came back to full speed")
    return LongRun(outcome.name, figures, tuple(broken), outcome)


def _broken(outcome: Outcome) -> list[str]:
    return [line for lines in outcome.broken.values() for line in lines]


def _between(samples: Sequence[Sample], low: float, high: float) -> list[Sample]:
    return [one for one in samples if low <= one.settled < high]


def _speeds(samples: Sequence[Sample], since: float, until: float) -> list[tuple[float, float]]:
    """Settled events a second over windows of `_WINDOW` seconds, each with when it began."""
    chosen = [one for one in samples if since <= one.at <= until]
    found = []
    for number, first in enumerate(chosen):
        last = next((one for one in chosen[number:] if one.at - first.at >= _WINDOW), None)
        if last:
            found.append((first.at, (last.settled - first.settled) / (last.at - first.at)))
    return found
