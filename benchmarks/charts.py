"""Draws results.json as SVG. The same results give the same charts.

Usage: python -m benchmarks.charts build/bench/results.json docs/charts

A chart whose rows were not measured is not drawn and is named on stderr; an older one stays.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contestants import OURS
from benchmarks.report import DISTURBED, SIGNS, GoalResult, evaluate, number, with_unit
from benchmarks.rows import GOALS, ROWS
from benchmarks.svg import Bar, bar_chart

Results = Mapping[str, Any]
"""The results that bench.py writes."""

DEPTHS = ("backlog of 1,000", "backlog of 10,000", "backlog of 100,000", "backlog of 1,000,000")
THREADS = tuple(row.name for row in ROWS if row.name.startswith("5 ms, half a CPU"))
LATENCIES = ("0 ms", "40 ms")
"""The rows of the peers are named "peer <name>, 40 ms"."""
OURS_BESIDE = ("{}", "{}, all spans", "{}, no spans")


class MissingError(Exception):
    """The text names the rows that the chart needs and that were not measured."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 if any chart was drawn, else 1."""
    parser = argparse.ArgumentParser(prog="charts", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("directory", type=Path)
    args = parser.parse_args(argv)
    results = json.loads(args.results.read_text())
    args.directory.mkdir(parents=True, exist_ok=True)
    drawn = 0
    for name, draw in CHARTS.items():
        path = args.directory / f"bench-{name}.svg"
        try:
            path.write_text(draw(results))
        except MissingError as missing:
            sys.stderr.write(f"{path.name} is not drawn, not measured: {missing}\n")
            continue
        print(path)
        drawn += 1
    return 0 if drawn else 1


def goals(results: Results) -> str:
    """Each goal as the share of its bound that is used, whichever way the bound is."""
    medians = {name: row["median"] for name, row in results["rows"].items()}
    goal_results = [evaluate(goal, medians) for goal in GOALS]
    if all(result.value is None for result in goal_results):
        raise MissingError("the row of any goal")
    return bar_chart(
        "Goals",
        "A bar within 100 %: met, ✓. One beyond it, pale and dashed: not met, ✗.",
        "% of the bound used (figure / bound; bound / figure where more is better)",
        [_goal_bar(result) for result in goal_results],
        {"bound": 100},
    )


def _goal_bar(result: GoalResult) -> Bar:
    goal, value = result.goal, result.value
    if value is None:
        return Bar(goal.what, 0, "not measured")
    part, whole = (value, goal.bound) if goal.sign == "<=" else (goal.bound, value)
    used = part / whole if whole else math.inf if part else 0
    sign, mark = SIGNS[goal.sign][2], "✓" if result.met else "✗"
    label = f"{with_unit(value, goal.unit)}, {sign} {number(goal.bound)} {mark}"
    return Bar(goal.what, 100 * used, label, plain=result.met is True)


def cpu(results: Results) -> str:
    """CPU time per event of each row of ours."""
    bars = [
        _bar(name, row, "cpu_ms")
        for name, row in results["rows"].items()
        if row["contestant"] == OURS.name and "cpu_ms" in row["median"]
    ]
    if not bars:
        raise MissingError("any row that settles events")
    return bar_chart("CPU per event", _how(results), "CPU ms per event", bars)


def backlog(results: Results) -> str:
    """CPU time per event by the depth of the backlog: it should be flat."""
    rows = _rows(results, DEPTHS)
    goal = next(one for one in GOALS if one.rows == DEPTHS[-1:])
    limit = rows[goal.against]["median"][goal.figure] * goal.bound
    return bar_chart(
        "CPU per event by the depth of the backlog",
        _how(results),
        "CPU ms per event",
        [_bar(name, row, goal.figure) for name, row in rows.items()],
        {f"{goal.bound:g} x {goal.against}": limit},
    )


def threads(results: Results) -> str:
    """Events per second at half a CPU by the number of threads."""
    rows = _rows(results, THREADS)
    return bar_chart(
        "Half a CPU, neighbours at 5 ms: events per second by threads",
        _how(results),
        "events/s",
        [
            _bar(f"{row['setup']['concurrency']} threads", row, "events_per_s")
            for row in rows.values()
        ],
        {f"goal {goal.bound:g}": goal.bound for goal in GOALS if goal.rows == THREADS},
    )


def peers(results: Results) -> str:
    """CPU time per event of the worker and its peers; the worker's is drawn plainly."""
    rows = results["rows"]
    bars = []
    for latency in LATENCIES:
        ours = [name.format(latency) for name in OURS_BESIDE]
        theirs = [
            name
            for name, row in rows.items()
            if name.endswith(f", {latency}") and row["contestant"] != OURS.name
        ]
        bars += [_peer_bar(rows[name], latency) for name in (*ours, *theirs) if name in rows]
    if all(bar.plain for bar in bars):
        raise MissingError("the row of any peer")
    return bar_chart("CPU per event beside peers", _how(results), "CPU ms per event", bars)


def _peer_bar(row: Results, latency: str) -> Bar:
    spans = "" if row["median"]["spans"] else ", no spans"
    ours = row["contestant"] == OURS.name
    return _bar(f"{row['contestant']}, {latency}{spans}", row, "cpu_ms", plain=ours)


def _rows(results: Results, names: Sequence[str]) -> dict[str, Results]:
    """Raises MissingError."""
    if missing := [name for name in names if name not in results["rows"]]:
        raise MissingError("; ".join(missing))
    return {name: results["rows"][name] for name in names}


def _bar(name: str, row: Results, figure: str, *, plain: bool = True) -> Bar:
    value, runs = row["median"][figure], [run[figure] for run in row["runs"]]
    mark = "!" * (row["median"]["foreign_cpus"] >= DISTURBED)
    return Bar(name, value, number(value) + mark, (min(runs), max(runs)), plain)


def _how(results: Results) -> str:
    return (
        f"{results['form']} form, rounds: {results['rounds']}; bars: median; thin lines: all runs;"
        " !: others used the CPUs, too"
    )


CHARTS: Mapping[str, Callable[[Results], str]] = {
    one.__name__: one for one in (goals, cpu, backlog, threads, peers)
}


if __name__ == "__main__":
    raise SystemExit(main())
