"""The report of a run: whether the goals are met, and the figures as Markdown tables. Pure."""

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.figures import Figures
from benchmarks.rows import Goal, Row

SIGNS = {">=": (operator.ge, max, "≥"), "<=": (operator.le, min, "≤")}
DISTURBED = 0.15
"""A run's figures are marked if other processes used at least this many CPUs."""

COLUMNS = {
    "events_per_s": "events/s",
    "percent_of_ceiling": "% of ceiling",
    "cpu_ms": "CPU ms/event",
    "p50_ms": "P50 ms",
    "p95_ms": "P95 ms",
    "p99_ms": "P99 ms",
    "added_p95_ms": "added P95 ms",
    "rss_mb": "RSS MB",
    "anon_mb": "anon MB",
    "calls": "AWS calls/event",
    "spans": "spans/event",
    "neighbours": "calls to neighbours/event",
    "errors": "errors",
}
PEER_COLUMNS = ("events_per_s", "cpu_ms", "rss_mb")


@dataclass(frozen=True, slots=True)
class GoalResult:
    """A goal's figure and whether it meets the bound; `value` is None when it was not measured."""

    goal: Goal
    value: float | None
    met: bool | None
    row: str = ""


def evaluate(goal: Goal, medians: Mapping[str, Figures]) -> GoalResult:
    """Compare the best of the goal's measured rows with its bound."""
    holds, best, _ = SIGNS[goal.sign]
    found = {
        row: medians[row][goal.figure] for row in goal.rows if goal.figure in _of(medians, row)
    }
    if not found:
        return GoalResult(goal, None, None)
    row = best(found, key=found.__getitem__)
    value = found[row]
    if goal.against:
        base = _of(medians, goal.against).get(goal.figure)
        if not base:
            return GoalResult(goal, None, None)
        value /= base
    return GoalResult(goal, value, holds(value, goal.bound), row)


def _of(medians: Mapping[str, Figures], row: str) -> Figures:
    return medians.get(row, {})


def goal_table(results: Iterable[GoalResult]) -> str:
    """A line for each goal."""
    lines = []
    for result in results:
        goal = result.goal
        bound = f"{SIGNS[goal.sign][2]} {with_unit(goal.bound, goal.unit)}"
        figure = "-" if result.value is None else with_unit(result.value, goal.unit)
        met = {True: "✓", False: "✗", None: "not measured"}[result.met]
        lines.append((goal.what, bound, figure, met, result.row))
    return table(("goal", "bound", "figure", "met", "row"), lines)


def row_table(medians: Mapping[str, Figures], spreads: Mapping[str, Figures]) -> str:
    """A line for each row that settled events, with the spread of the CPU time per event."""
    shown = {name: found for name, found in medians.items() if "events_per_s" in found}
    columns = [key for key in COLUMNS if any(key in found for found in shown.values())]
    lines = (
        (
            name,
            *(number(found[key]) if key in found else "-" for key in columns),
            f"{spreads[name].get('cpu_ms', 0):.0f} %",
            f"{found['foreign_cpus']:.2f}" + "!" * (found["foreign_cpus"] >= DISTURBED),
        )
        for name, found in shown.items()
    )
    return table(("row", *(COLUMNS[key] for key in columns), "spread", "others' CPUs"), lines)


def peer_table(
    medians: Mapping[str, Figures], rows: Iterable[Row], lacks: Mapping[str, str]
) -> str:
    """A line for each peer's row; in brackets, how many times ours."""
    lines = []
    for row in rows:
        found = _of(medians, row.name)
        if row.beside and found:
            base = _of(medians, row.beside[0])
            shown = [_by_ours(key, found, base) for key in PEER_COLUMNS]
            lines.append((row.name, *shown, lacks[row.contestant]))
    return table(("row", *(COLUMNS[key] for key in PEER_COLUMNS), "what it lacks"), lines)


def _by_ours(key: str, found: Figures, base: Figures) -> str:
    ratio = f" ({number(found[key] / base[key])}x)" if base.get(key) else ""
    return number(found[key]) + ratio


def other_table(medians: Mapping[str, Figures]) -> str:
    """The rows without a rate of events: each figure by its name."""
    lines = (
        (name, ", ".join(f"{key} {number(value)}" for key, value in found.items()))
        for name, found in medians.items()
        if "events_per_s" not in found
    )
    return table(("row", "figures"), lines)


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(_lines(head, lines)) + "\n"


def _lines(head: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for line in lines:
        yield f"| {' | '.join(line)} |"


def with_unit(value: float, unit: str) -> str:
    """The number with its unit, if it has one."""
    return f"{number(value)} {unit}".rstrip()


def number(value: float) -> str:
    """Three significant digits, without trailing zeros."""
    digits = next((digits for digits, least in ((0, 100), (1, 10)) if abs(value) >= least), 2)
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
