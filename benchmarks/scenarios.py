"""How a row is measured: one function each, from a row's setup to figures."""

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks.account import foreign_cpus
from benchmarks.contestants import CONTESTANTS, Contestant
from benchmarks.figures import quantiles_ms
from benchmarks.rig import Process, Rig, Team
from benchmarks.rows import Row, Setup
from benchmarks.viewers import watching

WARM = 342
"""Events settled before the measurement: they fill connections, caches and two exports of spans."""
HOUR = 3600


def settle(rig: Rig, row: Row, events: int) -> dict[str, float]:
    """`settled` by the row's contestant."""
    return settled(rig, CONTESTANTS[row.contestant], row.setup, events)


def settled(rig: Rig, contestant: Contestant, setup: Setup, events: int) -> dict[str, float]:
    """A fixed number of events, or as many of a deeper backlog, by warm processes."""
    rig.reset(setup, contestant.form)
    with rig.running(contestant, setup) as team, ExitStack() as stack:
        _warm(rig, team)
        stack.enter_context(watching(team.members, setup.viewers))
        marks = [member.stdout.stat().st_size for member in team.members]
        rig.mark()
        before = team.moment()
        if setup.load:
            rig.sqs.arrive(setup.load * setup.ceiling, events)
        else:
            rig.sqs.add(max(events, setup.depth))
        team.until(lambda: rig.sqs.deleted() >= events, f"settled {events} events")
        after = team.moment()
        # A deeper backlog goes on meanwhile, so the count is taken at the same moment.
        stats, memory = rig.sqs.stats(), team.memory_mb()
        neighbours, spans = rig.neighbours.stats(), rig.collector.stats()
        logged = [
            milliseconds
            for member, mark in zip(team.members, marks, strict=True)
            for milliseconds in _logged(member, mark, contestant)
        ]
    done = stats["deleted"]
    seconds = stats["seconds"]
    figures = {
        "events_per_s": done / seconds,
        "cpu_ms": (after.worker - before.worker) / done * 1000,
        "cpus": (after.worker - before.worker) / (after.at - before.at),
        "seconds": seconds,
        **memory,
        "calls": sum(stats["calls"].values()) / done,
        "spans": spans["spans"] / done,
        "neighbours": sum(one["calls"] for one in neighbours.values()) / done,
        "errors": float(stats["redelivered"] + stats["dead"]),
        "foreign_cpus": foreign_cpus(before, after),
        **{f"deleted_{name}_ms": value for name, value in stats["held_ms"].items()},
    }
    if setup.ceiling and not setup.load:
        figures["percent_of_ceiling"] = 100 * done / seconds / setup.ceiling
        figures["ceilings"] = seconds * setup.ceiling / done
    if logged:
        figures |= {f"{name}_ms": value for name, value in quantiles_ms(logged).items()}
        own = sum(neighbours[name]["mean_ms"] for name in ("inventory", "reservation"))
        if not setup.jitter_ms:
            figures["added_p95_ms"] = figures["p95_ms"] - own
    return figures


def start(rig: Rig, row: Row, events: int) -> dict[str, float]:
    """From exec to the first settled (and deleted) event, which is there already."""
    rig.reset(row.setup)
    rig.sqs.add(events)
    with rig.running(CONTESTANTS[row.contestant], row.setup) as team:
        begun = team.moment()
        team.until(lambda: rig.sqs.deleted() >= events, "settled its first event", pause=0.005)
        done = team.moment()
    # The CPU time before the first reading counts, too.
    return {
        "cpu_s": done.worker,
        "seconds": done.at - begun.at,
        "foreign_cpus": foreign_cpus(begun, done),
    }


def idle(rig: Rig, row: Row, seconds: int) -> dict[str, float]:
    """An hour of nothing to do, extrapolated from `seconds`."""
    rig.reset(row.setup)
    with rig.running(CONTESTANTS[row.contestant], row.setup) as team:
        _warm(rig, team)
        rig.mark()
        before = team.moment()
        end = before.at + seconds
        team.until(lambda: team.moment().at >= end, f"idled for {seconds} s", pause=0.5)
        after, calls, memory = team.moment(), rig.sqs.stats()["calls"], team.memory_mb()
    hours = (after.at - before.at) / HOUR
    return {
        "calls_per_hour": sum(calls.values()) / hours,
        "cpu_s_per_hour": (after.worker - before.worker) / hours,
        **memory,
        "foreign_cpus": foreign_cpus(before, after),
    }


def imports(_rig: Rig, _row: Row, _events: int) -> dict[str, float]:
    """CPU time of the imports of a run beyond Python's own start, and the dearest packages."""
    module = "reservation_worker.bootstrap"
    figures = {"cpu_s": _cpu_of(f"import {module}") - _cpu_of("pass")}
    command = [sys.executable, "-X", "importtime", "-c", f"import {module}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    packages = import_seconds(output.stderr)
    for package in sorted(packages, key=packages.__getitem__, reverse=True)[:8]:
        figures[f"{package}_s"] = packages[package]
    return figures


def import_seconds(output: str) -> dict[str, float]:
    """The output of `python -X importtime` by top package: its modules' own time, in seconds."""
    found: dict[str, float] = {}
    for line in output.splitlines():
        own, _, rest = line.removeprefix("import time:").partition("|")
        if own.strip().isdigit():
            package = rest.partition("|")[2].strip().partition(".")[0]
            found[package] = found.get(package, 0.0) + int(own) / 1e6
    return found


def _cpu_of(code: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The worker exits by os._exit, too: nothing is torn down.
    command = [sys.executable, "-c", f"import os; {code}; os._exit(0)"]
    subprocess.run(command, check=True)  # noqa: S603 - our own line
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _warm(rig: Rig, team: Team) -> None:
    count = WARM * len(team.members)
    rig.sqs.add(count)
    team.until(lambda: rig.sqs.deleted() >= count, "warmed up")


def _logged(member: Process, mark: int, contestant: Contestant) -> Iterator[float]:
    """Seconds from the receive to the settled outcome, by the log lines after `mark` bytes."""
    if not contestant.latency:
        return
    with Path(member.stdout).open("rb") as lines:
        lines.seek(mark)
        for line in lines:
            if (found := json.loads(line).get(contestant.latency)) is not None:
                yield found / 1000


SCENARIOS: Mapping[str, Callable[[Rig, Row, int], dict[str, float]]] = {
    "settle": settle,
    "start": start,
    "idle": idle,
    "imports": imports,
}
