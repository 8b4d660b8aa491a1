"""The plan's inputs as Markdown tables: figures with their sources, and settings."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.capacity.figures import BATCH
from benchmarks.capacity.plan import CapacityPlan
from benchmarks.capacity.scaler import SYNC, TOLERANCE, Direction


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def sources(path: Path) -> str:
    """Each figure of a JSON file with where it comes from."""
    entries = json.loads(path.read_text()).items()
    rows = [(f"`{name}`", f"{one['value']:g}", one["source"]) for name, one in entries]
    return table(("figure", "value", "where from"), rows)


def settings(plan: CapacityPlan) -> str:
    """The settings of the manifests."""
    scaling, pod = plan.shipped.scaling, plan.shipped.pod

    def behaviour(direction: Direction) -> str:
        steps = (
            f"{p.value}{' %' if p.kind == 'Percent' else ' pods'} in {p.period} s"
            for p in direction.policies
        )
        return f"{' or '.join(steps)} ({direction.select}), window {direction.window} s"

    rows = [
        ("pollingInterval, cooldownPeriod", f"{scaling.polling} s, {scaling.cooldown} s"),
        ("pods", f"{scaling.least} to {scaling.most}"),
        ("queueLength", f"{scaling.queue_length}"),
        ("scaleOnInFlight", str(scaling.in_flight_counts).lower()),
        ("scale up", behaviour(scaling.up)),
        ("scale down", behaviour(scaling.down)),
        ("WORKER_CONCURRENCY, CPU limit", f"{pod.concurrency}, {pod.cpu:g} core"),
        ("a pod settles at most", f"{pod.rate:.0f} events/s"),
        ("a pod holds at most", f"{pod.slots} messages (threads + {BATCH})"),
        ("HPA (Kubernetes' defaults)", f"a look each {SYNC:g} s, tolerance {TOLERANCE * 100:g} %"),
    ]
    return table(("setting", "value"), rows)


def fit(plan: CapacityPlan) -> str:
    """The pod's rate against the table of sizes in docs/deployment.md."""
    known = plan.measured
    measured = {20: known["events_per_second"], 50: 545, 100: known["saturated_events_per_second"]}
    full = plan.shipped.change(cpu=1.0)
    rows = [
        (threads, rate, f"{full.change(concurrency=threads).pod.rate:.0f}")
        for threads, rate in measured.items()
    ]
    return table(("threads", "measured events/s", "model"), rows)
