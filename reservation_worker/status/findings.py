"""Assesses the worker for the engineer on call: its condition, the causes and advice. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reservation_worker.pipeline.neighbours import INVENTORY, RESERVATION_API
from reservation_worker.resilience.breaker import State
from reservation_worker.status.condition import Condition, Finding
from reservation_worker.status.dead_letters import dead_letter_findings
from reservation_worker.status.probes import Check

OLD = 300.0
"""An event that is older than this at its receive shows that the workers lag, in seconds."""
ADDRESSES = {INVENTORY: "INVENTORY_GRPC_ADDR", RESERVATION_API: "RESERVATION_API_BASE"}
"""The setting with each neighbour's address."""


def assess(
    health: Sequence[Check],
    ready: Sequence[Check],
    breakers: Mapping[str, tuple[State, float]],
    settings: Mapping[str, str],
    figures: Mapping[str, Any],
) -> tuple[Condition, list[Finding]]:
    """The worst condition of all findings, and the findings, the worst first.

    `breakers` has each state with the seconds to the next try, `settings` are redacted, and
    `figures` is the status document so far.
    """
    found = [
        *_threads(health),
        *_receiving(ready),
        *_breakers(breakers, settings),
        *dead_letter_findings(figures),
        *_lag(figures),
    ]
    order = list(Condition)
    found.sort(key=lambda finding: -order.index(finding.condition))
    return found[0].condition if found else Condition.OK, found


def _threads(health: Sequence[Check]) -> Iterator[Finding]:
    texts = {
        "poller": (
            "The poller is late or dead",
            "A restart helps; Kubernetes does it where /health is the liveness probe. Keep the"
            " log: its last lines show what the poller was doing.",
        ),
        "threads": (
            "Every thread is stuck",
            "A restart helps; Kubernetes does it where /health is the liveness probe. SIGUSR1"
            " writes the stacks of all threads to the log.",
        ),
    }
    for check in health:
        if not check.ok:
            title, advice = texts[check.name]
            yield Finding(Condition.FAILING, title, check.detail, advice)


def _receiving(ready: Sequence[Check]) -> Iterator[Finding]:
    failing = {check.name: check.detail for check in ready if not check.ok}
    detail = failing.get("queue")
    if "draining" in failing:
        yield Finding(
            Condition.DRAINING,
            "Stopping",
            "nothing new is received; running events finish, waiting ones were given back",
            "Nothing to do: another worker takes over. Without one, events wait in the queue.",
        )
    elif detail and detail[:1].isdigit():
        yield Finding(
            Condition.NOT_READY,
            "Receiving from SQS fails",
            detail,
            "The log's `receive failed` has the cause; `reservation-worker doctor` checks"
            " credentials, permissions, the queue's URL and the network. No event is lost.",
        )
    elif detail:
        yield Finding(Condition.STARTING, "Starting", detail, "Wait for the first receive.")
    if "rights" in failing:
        yield Finding(
            Condition.NOT_READY,
            "AWS refuses a right that the worker needs",
            failing["rights"],
            "Correct the policy of the role, of the queue or of its key. Until then messages"
            " are delivered again and again; no event is lost.",
        )


def _breakers(
    breakers: Mapping[str, tuple[State, float]], settings: Mapping[str, str]
) -> Iterator[Finding]:
    for name, (state, retry_in) in breakers.items():
        where = f"{name} at {settings[ADDRESSES[name]]}"
        if state is State.OPEN:
            yield Finding(
                Condition.NOT_READY,
                f"{name} is down or too slow",
                f"its breaker is open and polling is paused; next try in {retry_in:,.0f} s",
                f"Look at {where}: its pods, its load, its address. Nothing is lost or"
                " dead-lettered meanwhile, and this worker goes on by itself.",
            )
        elif state is State.HALF_OPEN:
            yield Finding(
                Condition.ATTENTION,
                f"{name} is coming back",
                "its breaker is half-open: few events at a time, more with each good call",
                "Nothing to do unless it opens again.",
            )


def _lag(figures: Mapping[str, Any]) -> Iterator[Finding]:
    age = figures["last_minute"]["oldest_age_seconds"]
    if age is not None and age > OLD:
        yield Finding(
            Condition.ATTENTION,
            "Events are received late",
            f"one received in the last minute was {age / 60:,.0f} minutes old",
            "More workers or a higher WORKER_CONCURRENCY, unless an outage has just ended.",
        )
    # Where receives fail, another finding reports it.
    if figures["queue"]["problem"] and not figures["polling"]["errors_in_a_row"]:
        yield Finding(
            Condition.ATTENTION,
            "The queue's depth can't be read",
            figures["queue"]["problem"],
            "Allow sqs:GetQueueAttributes on the queue; the log has SQS's answer.",
        )
