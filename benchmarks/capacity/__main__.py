"""Draw the capacity plan anew: the charts in docs/charts and the tables in docs/capacity.md.

Usage: python -m benchmarks.capacity

Its inputs are benchmarks/measured.json, benchmarks/capacity/assumptions.json and the manifests in
k8s/deploy/base. The same files give the same charts and tables.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from benchmarks.capacity.figures import ROOT
from benchmarks.capacity.plan import CapacityPlan
from benchmarks.capacity.simulation import SimulationResult
from benchmarks.capacity.tables import all_tables
from benchmarks.svg import Points, line_chart

PAGE = ROOT / "docs/capacity.md"
CHARTS = ROOT / "docs/charts"
WINDOW = 5
"""Seconds of settled events behind each point of a delay chart."""


def main() -> None:
    """Write charts and tables."""
    try:
        plan = CapacityPlan()
    except KeyError as missing:
        where = "benchmarks/measured.json, benchmarks/capacity/assumptions.json or k8s/deploy/base"
        raise SystemExit(f"{missing} is not in {where}: put it back") from None
    except ValueError as wrong:
        raise SystemExit(str(wrong)) from None
    CHARTS.mkdir(exist_ok=True)
    for path, text in draw(plan).items():
        path.write_text(text)
        print(path.relative_to(ROOT))


def draw(plan: CapacityPlan) -> dict[Path, str]:
    """The text of every file of the plan, by its path."""
    files = {CHARTS / f"capacity-{name}.svg": text for name, text in charts(plan).items()}
    return {**files, PAGE: fill(PAGE.read_text(), all_tables(plan))}


def fill(page: str, tables: Mapping[str, str]) -> str:
    """The page with each table between its marks replaced.

    Raises ValueError if the page's marks and `tables` differ in their names.
    """
    marks = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
    named = {found[1] for found in marks.findall(page)}
    if named != set(tables):
        raise ValueError(f"docs/capacity.md and the tables differ in {named ^ set(tables)}")
    return marks.sub(lambda found: found[1] + tables[found[2]] + "\n" + found[3], page)


def charts(plan: CapacityPlan) -> dict[str, str]:
    """Every chart by its name."""
    base = plan.shipped
    lighter = base.with_cpu_per_event(1.0)
    shipped, more, quick, slow = (
        plan.run(load, sizing)
        for load, sizing in (
            (plan.headline, base),
            (plan.headline, base.change(most=150)),
            (plan.headline, lighter),
            (plan.delivered, base),
        )
    )
    lengths = {n: plan.run(plan.everyday, base.change(queue_length=n)) for n in (10, 20, 30)}
    return {
        "backlog": line_chart(
            "The headline, 30,000 reservations a second for a minute: the backlog",
            "Messages waiting in the queue over time, for the settings as shipped and two changes.",
            "messages",
            {
                "as shipped": _column(shipped, 1),
                "150 pods": _column(more, 1),
                "1.0 ms an event": _column(quick, 1),
            },
        ),
        "delay": line_chart(
            "The headline as shipped: from arrival to settled",
            "Delay of the events settled in each 5 seconds: median, 95th percentile and worst.",
            "seconds",
            {
                "P50": _delays(shipped, 0.5),
                "P95": _delays(shipped, 0.95),
                "worst": _delays(shipped, 1.0),
            },
        ),
        "pods": line_chart(
            "The headline as shipped: pods",
            "Pods that exist and pods that are ready, over time.",
            "pods",
            {"exist": _column(shipped, 3), "ready": _column(shipped, 4)},
        ),
        "delivered": line_chart(
            "The headline as EventBridge's default quota delivers it",
            "Pods that exist over time when 1,100 events a second are let through.",
            "pods",
            {"exist": _column(slow, 3)},
        ),
        "queue-length": line_chart(
            "An everyday wave up to 1,000/s: pods by queueLength",
            "Pods that exist over time for queueLength 10, 20 and 30.",
            "pods",
            {f"queueLength {n}": _column(run, 3) for n, run in lengths.items()},
        ),
    }


def _column(run: SimulationResult, place: int) -> Points:
    return [(point[0], point[place]) for point in run.points]


def _delays(run: SimulationResult, share: float) -> Points:
    ends = range(WINDOW, int(run.settled_at) + WINDOW, WINDOW)
    return [(end, run.delay(share, end - WINDOW, end)) for end in ends]


if __name__ == "__main__":
    main()
