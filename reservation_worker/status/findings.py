"""What an engineer on call should know first: how the worker is, why, and what to do. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from reservation_worker.pipeline.neighbours import INVENTORY, RESERVATION_API
from reservation_worker.resilience.breaker import State
from reservation_worker.status.probes import Check

OLD = 300.0
"""Events that are older than this when they are received mean that the workers lag, in seconds."""
ADDRESSES = {INVENTORY: "INVENTORY_GRPC_ADDR", RESERVATION_API: "RESERVATION_API_BASE"}
"""The setting that says where each neighbour is."""


class Verdict(StrEnum):
    """The worst that was found."""

    OK = "ok"
    ATTENTION = "attention"
    STARTING = "starting"
    DRAINING = "draining"
    NOT_READY = "not_ready"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be: what, why or how much, and what to do about it."""

    level: Verdict
    title: str
    detail: str
    advice: str


def assess(
    health: Sequence[Check],
    ready: Sequence[Check],
    breakers: Mapping[str, tuple[State, float]],
    settings: Mapping[str, str],
    figures: Mapping[str, Any],
) -> tuple[Verdict, list[Finding]]:
    """The verdict and its findings, the worst first.

    `breakers` has the seconds to the next try beside each state, `settings` are redacted, and
    `figures` is the status document so far.
    """
    found = [*_threads(health), *_receiving(ready), *_rights(ready), *_breakers(breakers, settings)]
    found += _dead_letters(figures["dead_letters"])
    found += _lag(figures)
    order = list(Verdict)
    found.sort(key=lambda finding: -order.index(finding.level))
    return found[0].level if found else Verdict.OK, found


def _threads(health: Sequence[Check]) -> list[Finding]:
    texts = {
        "poller": (
            "The poller is late or dead",
            "A restart helps; Kubernetes does it where /health is the liveness probe. Keep the"
            " log: its last lines say what the poller was doing.",
        ),
        "threads": (
            "Every thread is stuck",
            "A restart helps; Kubernetes does it where /health is the liveness probe. SIGUSR1"
            " writes the stacks of all threads to the log.",
        ),
    }
    return [
        Finding(Verdict.FAILING, texts[check.name][0], check.detail, texts[check.name][1])
        for check in health
        if not check.ok
    ]


def _receiving(ready: Sequence[Check]) -> list[Finding]:
    failing = {check.name: check.detail for check in ready if not check.ok}
    if "draining" in failing:
        return [
            Finding(
                Verdict.DRAINING,
                "Stopping",
                "nothing new is received; what runs finishes, what waited was given back",
                "Nothing to do: another worker takes over. Without one, events wait in the queue.",
            )
        ]
    if "queue" not in failing:
        return []
    detail = failing["queue"]
    if not detail[:1].isdigit():
        return [Finding(Verdict.STARTING, "Starting", detail, "Wait for the first receive.")]
    return [
        Finding(
            Verdict.NOT_READY,
            "Receiving from SQS fails",
            detail,
            "The log's `receive failed` says why; `reservation-worker doctor` checks credentials,"
            " permissions, the queue's URL and the network. No event is lost.",
        )
    ]


def _rights(ready: Sequence[Check]) -> list[Finding]:
    return [
        Finding(
            Verdict.NOT_READY,
            "AWS refuses what the worker has to do",
            check.detail,
            "Correct the role's policy, or the one of the queue or its key. Until then messages"
            " come again and again; no event is lost.",
        )
        for check in ready
        if check.name == "rights" and not check.ok
    ]


def _breakers(
    breakers: Mapping[str, tuple[State, float]], settings: Mapping[str, str]
) -> list[Finding]:
    found = []
    for name, (state, retry_in) in breakers.items():
        where = f"{name} at {settings[ADDRESSES[name]]}"
        if state is State.OPEN:
            found.append(
                Finding(
                    Verdict.NOT_READY,
                    f"{name} is down or too slow",
                    f"its breaker is open and polling is paused; next try in {retry_in:.0f} s",
                    f"Look at {where}: its pods, its load, its address. Nothing is lost or"
                    " dead-lettered meanwhile, and this worker goes on by itself.",
                )
            )
        elif state is State.HALF_OPEN:
            found.append(
                Finding(
                    Verdict.ATTENTION,
                    f"{name} is coming back",
                    "its breaker is half-open: few events at a time, more with each good call",
                    "Nothing to do unless it opens again.",
                )
            )
    return found


def _dead_letters(dead: Mapping[str, Any]) -> list[Finding]:
    found = []
    owed = dead["by_reason"]["compensation_required"]
    # A queue known to be empty was seen to: counts know nothing of that.
    if owed and dead["depth"] != 0:
        found.append(
            Finding(
                Verdict.ATTENTION,
                "Somebody paid and has no seat",
                f"{owed} since the start, dead-lettered as compensation_required",
                "Refund: `reservation-worker dlq compensations` lists who.",
            )
        )
    if dead["unsent"]:
        found.append(
            Finding(
                Verdict.ATTENTION,
                "Dead letters could not be sent",
                f"{dead['unsent']} since the start; their messages stay in the queue for now",
                "Check that the queue has a dead-letter queue (or SQS_DLQ_URL) and that"
                " sqs:SendMessage on it is allowed.",
            )
        )
    if in_window := dead["in_window"]:
        found.append(
            Finding(
                Verdict.ATTENTION,
                "Events are dead-lettered",
                f"{in_window} in the last 15 minutes; the failures below say why",
                "`reservation-worker dlq list` groups them by reason.",
            )
        )
    return found


def _lag(figures: Mapping[str, Any]) -> list[Finding]:
    found = []
    age = figures["last_minute"]["oldest_age_seconds"]
    if age is not None and age > OLD:
        found.append(
            Finding(
                Verdict.ATTENTION,
                "Events come late",
                f"one received in the last minute was {age / 60:.0f} minutes old",
                "More workers or a higher WORKER_CONCURRENCY, unless an outage has just ended.",
            )
        )
    # Where nothing is received at all, that says it.
    if figures["queue"]["problem"] and not figures["polling"]["errors_in_a_row"]:
        found.append(
            Finding(
                Verdict.ATTENTION,
                "The queue's depth can't be read",
                figures["queue"]["problem"],
                "Allow sqs:GetQueueAttributes on the queue; the log has SQS's answer.",
            )
        )
    return found
