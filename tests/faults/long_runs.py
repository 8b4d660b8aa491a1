"""The long runs: a soak, many stops, and outages of minutes, with the worker's own defaults.

python -m tests.faults.long_runs [--soak EVENTS] [--drain STOPS] [--outage SECONDS] [--seed N]
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from statistics import median, quantiles
from typing import Any

from tests.faults.case import Answers, Case, Outcome, Sample, Step
from tests.faults.matrix import ALL_SQS
from tests.faults.neighbour_cases import IN, RS
from tests.faults.runner import Run

DEFAULTS = {
    "CALL_TIMEOUT": "10",
    "SQS_WAIT_TIME": "20",
    "MAX_RETRIES": "5",
    "BACKOFF_BASE_MS": "1000",
    "SHUTDOWN_TIMEOUT": "30",
}
"""The runner's settings are quick ones; these are the worker's own."""
AS_SHIPPED = Case(latency_ms=(40, 10), visibility=60, max_receive=30, env=DEFAULTS, backlog=1000)
FULL_SPEED = 0.9
"""Of what was in flight before an outage: from there on the workers are back at full speed.

Not events a second: what else the machine does by then has a say in those.
"""
_WINDOW = 3.0


@dataclass(frozen=True, slots=True)
class LongRun:
    """`broken`: a plain sentence for each promise that was not kept, the invariants included."""

    name: str
    figures: Mapping[str, Any]
    broken: tuple[str, ...]
    outcome: Outcome

    @property
    def ok(self) -> bool:
        """Every promise was kept."""
        return not self.broken


def soak(events: int, seed: int) -> LongRun:
    """Mixed faults; what a worker holds after a tenth of the events is what it holds at the end."""
    rare: dict[str, Any] = dict.fromkeys(ALL_SQS, 0.01)
    # Each of these costs a receive its batch and the poller a pause.
    rare |= dict.fromkeys(("reset", "reset_after", "error_500", "throttled"), 0.002)
    rare |= dict.fromkeys(("expired_credentials", "ghost_receive", "slow_poll"), 0.002)
    rare |= {"hang": {"rate": 0.0005, "seconds": 12}}
    answers = (
        Answers(RS, {"status": 503, "name": "503"}, 0.005),
        Answers(RS, {"reset": True, "name": "reset after"}, 0.005, after=True),
        Answers(RS, {"status": 429, "headers": {"Retry-After": "2"}, "name": "429"}, 0.005),
        Answers(IN, {"code": "UNAVAILABLE"}, 0.005),
        Answers(IN, {"error_code": 16, "name": "in band after"}, 0.005, after=True),
        Answers("both", {"sleep": 3, "name": "past the deadline after"}, 0.001, after=True),
    )
    steps = (
        Step("down", IN, 0.3),
        Step("clear", IN, pause=5),
        Step("restart", "both", 0.5),
        Step("down", RS, 0.7),
        Step("clear", RS, pause=5),
    )
    env = {"CALL_TIMEOUT": "2", "BACKOFF_BASE_MS": "100", "MAX_RETRIES": "50"}
    # As the image is to set it: glibc gives each few threads a heap of their own otherwise, and
    # what they leave free there grows for hours.
    env["MALLOC_ARENA_MAX"] = "2"
    case = Case(rare, answers, steps, visibility=30, latency_ms=(10, 5), env=env, backlog=500)
    outcome = Run("soak", case, events, seed).go(limit=60 + events / 25)
    early = _between(outcome.samples, 0.10 * events, 0.12 * events)
    late = _between(outcome.samples, 0.98 * events, 2 * events)
    broken = list(_broken(outcome))
    if not early or not late:
        return LongRun("soak", {}, (*broken, "it did not get far enough"), outcome)
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
        "workers": case.workers,
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
    return LongRun("soak", figures, tuple(broken), outcome)


def drain(stops: int, seed: int) -> LongRun:
    """SIGTERM at random moments under load, two workers taking turns."""
    dice = Random(seed)
    steps = tuple(Step("term", number % 2, pause=dice.uniform(0.2, 2.0)) for number in range(stops))
    # Slow calls, so that a stop finds many under way and the load outlasts the stops.
    case = replace(AS_SHIPPED, steps=steps, latency_ms=(150, 100))
    outcome = Run("drain", case, 250 * stops, seed).go(limit=60 + 10 * stops)
    under_load = [stop for stop in outcome.stops if stop.in_flight]
    seconds = sorted(stop.seconds for stop in under_load)
    broken = list(_broken(outcome))
    if len(under_load) < 0.9 * stops:
        broken.append(f"only {len(under_load)} of {stops} stops were under load")
    if len(seconds) < 2:
        return LongRun("drain", {}, tuple(broken), outcome)
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
    return LongRun("drain", figures, tuple(broken), outcome)


def outage(target: str, seconds: float, seed: int) -> LongRun:
    """A neighbour (or both) is gone for so long under load."""
    steps = (Step("down", target, 0.3), Step("clear", target, pause=seconds))
    case = replace(AS_SHIPPED, steps=steps)
    name = f"outage of {target}"
    outcome = Run(name, case, 20_000, seed).go(limit=seconds + 400)
    broken = list(_broken(outcome))
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
        "most_receives_of_a_message": outcome.figures["most_receives_of_a_message"],
        "in_flight_before": before,
        "events_a_second_before_and_after": [round(rate) for rate in rates],
        "seconds_to_full_speed": None if back is None else round(back, 1),
    }
    if back is None:
        broken.append("it never came back to full speed")
    return LongRun(name, figures, tuple(broken), outcome)


def _broken(outcome: Outcome) -> Sequence[str]:
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is asked for and print a JSON line for each; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="long_runs", description="Soak, drain, outages.")
    parser.add_argument("--soak", type=int, metavar="EVENTS", default=0)
    parser.add_argument("--drain", type=int, metavar="STOPS", default=0)
    parser.add_argument("--outage", type=float, metavar="SECONDS", default=0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    asked: list[Callable[[], LongRun]] = []
    if args.soak:
        asked.append(partial(soak, args.soak, args.seed))
    if args.drain:
        asked.append(partial(drain, args.drain, args.seed))
    if args.outage:
        asked += [partial(outage, target, args.outage, args.seed) for target in (IN, RS, "both")]
    code = 0
    for run in asked:
        made = run()
        row = {"run": made.name, "ok": made.ok, "figures": made.figures}
        row |= {"injected": made.outcome.injected, "seconds": made.outcome.figures["seconds"]}
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()
        if not made.ok:
            sys.stderr.write("\n".join((*made.broken, made.outcome.explain(), "")))
            code = 1
    return code


if __name__ == "__main__":
    raise SystemExit(main())
