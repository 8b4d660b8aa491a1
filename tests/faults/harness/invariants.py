"""Checks the invariants of docs/reliability.md on a run's accounts: a sentence a breach. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from reservation_worker.simulator.reconcile.report import Report
from tests.faults.harness.fence import Frozen, breaches, handled_again

Broken = dict[int, list[str]]


def check_invariants(
    broken: Broken,
    report: Report,
    calls: Sequence[Mapping[str, Any]],
    deliveries: Sequence[Mapping[str, Any]],
    visibility: float,
    wait: float,
    frozen: Sequence[Frozen],
    longest: float,
) -> None:
    """Invariants 1 to 4 and 6: the ledgers and queues, the calls, and the proxy's deliveries."""
    missing = report.compensations_due - report.compensations_found
    wrong = report.compensations_found - report.compensations_due
    # A seat that leaks is an event that was lost half-way.
    broken[1] += [*report.lost, *report.leaked]
    broken[1] += [f"{rid}: its compensation is missing" for rid in sorted(missing)]
    broken[2] += [*report.oversold, *report.premature]
    broken[3] += [*report.doubled, *handled_again(deliveries, calls, frozen)]
    broken[4] += breaches(deliveries, calls, visibility, wait, frozen, longest)
    broken[6] += report.unexpected_dead_letters
    broken[6] += [f"{rid}: a compensation that is not due" for rid in sorted(wrong)]


def check_bounds(broken: Broken, most: Mapping[str, int], slots: int) -> None:
    """Invariant 5: the maxima of bounded figures."""
    # The pool, a connection or two for each of its threads, and the fixed ones.
    limits = {"in_flight": slots, "threads": slots + 30, "fds": 4 * slots + 40}
    broken[5] += [
        f"{most[what]} {what}, more than {limit}"
        for what, limit in limits.items()
        if most.get(what, 0) > limit
    ]
