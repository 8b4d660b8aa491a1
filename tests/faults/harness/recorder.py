"""Records a run while it goes on, and checks it at the end."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from reservation_worker.simulator.processes.child import ChildError
from reservation_worker.simulator.processes.worker import WorkerProcess
from reservation_worker.simulator.reconcile.report import Report
from tests.faults.harness.case import Case, Mark, Outcome, Sample, Step, Stop
from tests.faults.harness.fence import Frozen
from tests.faults.harness.invariants import Broken, check_bounds, check_invariants

# All other faults of SQS may leave a message that is neither deleted nor given back: exit code 1.
_HARMLESS = {"reorder", "slow_poll", "ghost_receive"}


@dataclass(frozen=True, slots=True)
class Accounts:
    """All accounts at the end; `redirected`: a call reached a redirect's target."""

    seconds: float
    report: Report
    calls: Sequence[Mapping[str, Any]]
    deliveries: Sequence[Mapping[str, Any]]
    sqs_faults: Mapping[str, int]
    redirected: bool


class Recorder:
    """Records one run; `env` is its workers' environment."""

    def __init__(self, case: Case, env: Mapping[str, str]) -> None:
        self.case = case
        self.wait = int(env["SQS_WAIT_TIME"])
        self.longest_stop = int(env["SHUTDOWN_TIMEOUT"]) + 5
        self.slots = int(env.get("WORKER_CONCURRENCY", "20")) + 10
        lowered = [step.value for step in case.steps if step.action == "visibility"]
        self.visibility = min([case.visibility, *lowered])
        self.done: Counter[str] = Counter()
        self.injected: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.frozen: list[Frozen] = []
        self.samples: list[Sample] = []
        self.stops: list[Stop] = []
        self.marks: list[Mark] = []
        self.broken: Broken = {number: [] for number in range(8)}

    def stepped(self, step: Step, at: float) -> None:
        """Record a step, `at` seconds since the start of the run."""
        self.done[step.action] += 1
        self.marks.append(Mark(step, round(at, 2)))

    def look(self, worker: WorkerProcess) -> Counter[str]:
        """Its resources and counters now. Raises ChildError or OSError if it has just died."""
        metrics = worker.metrics()
        seen = Counter(
            threads=worker.status("Threads"),
            rss_kb=worker.status("VmRSS"),
            fds=len(list(Path(f"/proc/{worker.pid}/fd").iterdir())),
            in_flight=int(metrics.value("worker_in_flight")),
        )
        self.most |= seen
        retried = metrics.value("worker_events_total", outcome="retried")
        seen["settled"] = int(metrics.value("worker_events_total") - retried)
        seen["receives"] = int(metrics.value("sqs_receives_total"))
        return seen

    def sample(self, total: Counter[str], at: float) -> None:
        """Record the sums over all workers, `at` seconds since the start of the run."""
        figures = (total[field.name] for field in fields(Sample)[1:])
        self.samples.append(Sample(round(at, 2), *figures))

    def last_look(
        self, workers: Sequence[WorkerProcess], neighbours: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Record counters that end with the workers, and the neighbours' injected faults."""
        for worker in workers:
            with suppress(ChildError):
                metrics = worker.metrics()
                for name in ("worker_leases_lost_total", "worker_copies_deleted_total"):
                    self.totals[name] += int(metrics.value(name))
        for name, one in neighbours.items():
            self.injected.update({f"{name}: {what}": n for what, n in one["injected"].items()})

    def died(self, why: str) -> None:
        """Record that a worker ended by itself, or was killed for its bad health."""
        self.done["died and was started again"] += 1
        if not self.case.may_die:
            self.broken[7].append(why)

    def stopped(
        self, worker: WorkerProcess, seconds: float, code: int | None, in_flight: int
    ) -> None:
        """Record a stop; the exit code is None if the worker did not stop."""
        if code is None:
            self.broken[5].append(f"the stop of {worker.name} took more than {self.longest_stop} s")
            return
        self.stops.append(Stop(worker.name, seconds, code, in_flight))
        self.most["stop_ms"] = max(self.most["stop_ms"], round(1000 * seconds))
        self.done[f"exit {code}"] += 1
        hindered = self.case.may_die or self.case.sqs.keys() - _HARMLESS
        if code not in ((0, 1) if hindered else (0,)):
            self.broken[5].append(
                f"{worker.name} stopped with exit code {code}: {worker.tail()[-900:]}"
            )

    def outcome(self, name: str, events: int, seed: int, accounts: Accounts) -> Outcome:
        """Check the run and return its result."""
        deliveries = [row for row in accounts.deliveries if row["sent_at"]]
        check_invariants(
            self.broken,
            accounts.report,
            accounts.calls,
            deliveries,
            self.visibility,
            self.wait,
            self.frozen,
            self.case.visibility,
        )
        check_bounds(self.broken, self.most, self.slots)
        if accounts.redirected:
            self.broken[0].append("a redirect to another host was followed")
        figures = {
            "seconds": round(accounts.seconds, 1),
            "calls": len(accounts.calls),
            "deliveries": len(deliveries),
            "most_receives_of_a_message": max((d["receive_count"] for d in deliveries), default=0),
            "leases_lost": self.totals["worker_leases_lost_total"],
            "copies_only_deleted": self.totals["worker_copies_deleted_total"],
            "dead_letters": dict(accounts.report.dead_letters_by_reason),
            **{f"most_{what}": value for what, value in self.most.items()},
        }
        return Outcome(
            name,
            self.case,
            events,
            seed,
            accounts.report,
            Counter(accounts.sqs_faults) + self.done + self.injected,
            figures,
            {number: tuple(lines) for number, lines in self.broken.items()},
            self.samples,
            self.stops,
            self.marks,
        )
