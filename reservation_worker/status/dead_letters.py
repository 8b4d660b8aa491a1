"""Findings about dead letters and about the share of events that end as one. Pure.

The worker may read the depth of the dead-letter queue but no letter in it. It knows the reasons of
those letters alone that it has sent itself since its start.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from reservation_worker.status.condition import Condition, Finding

CRITICAL_SHARE = 0.05
"""The share of dead-lettered deliveries above which the alert HighErrorRate is critical."""
CRITICAL_WINDOW = 300.0
"""The time over which that share is taken, in seconds."""
FEWEST = 5
"""Fewer dead letters than this in CRITICAL_WINDOW are never critical, whatever their share is."""
CONSISTENT_AFTER = 60.0
"""After so many seconds SQS's estimate of a depth includes a message that was sent."""


def dead_letter_findings(figures: Mapping[str, Any]) -> list[Finding]:
    """The findings for the status document `figures`."""
    return [
        *_critical_share(figures["last_5_minutes"]),
        *_waiting(figures["dead_letters"], figures["queue"]["read_seconds_ago"]),
        *_unreadable(figures),
        *_unsent(figures["dead_letters"]["unsent"]),
    ]


def _critical_share(window: Mapping[str, Any]) -> Iterator[Finding]:
    dead = window["dead_lettered"]
    deliveries = window["settled"] + dead + window["retried"]
    if dead >= FEWEST and dead / deliveries > CRITICAL_SHARE:
        yield Finding(
            Condition.CRITICAL,
            f"{_percent(dead / deliveries)} of the deliveries are dead-lettered",
            f"{dead:,} of {deliveries:,} in the last {CRITICAL_WINDOW / 60:.0f} minutes; more than"
            f" {_percent(CRITICAL_SHARE)} is critical",
            "The failures below show the cause: often a release of a producer or a neighbour."
            " Roll it back first, then `reservation-worker dlq redrive`.",
        )


def _percent(share: float) -> str:
    """Rounded down: 100 % means all."""
    return f"{int(share * 1000 + 1e-9) / 10:g} %"


def _waiting(dead: Mapping[str, Any], read_seconds_ago: float | None) -> Iterator[Finding]:
    depth, sent_ago = dead["depth"], dead["last_seconds_ago"]
    read_ago = read_seconds_ago or 0.0
    up_to_date = sent_ago is None or sent_ago - read_ago >= CONSISTENT_AFTER
    if depth == 0 and up_to_date:
        return  # somebody has resolved all of them
    if owed := dead["by_reason"]["compensation_required"]:
        detail = f"this worker dead-lettered {owed:,} as compensation_required since its start"
        if up_to_date and depth and depth < owed:
            detail += f"; at most {depth:,} of them still wait"
        yield Finding(
            Condition.ATTENTION,
            "Somebody paid and has no seat",
            detail,
            "Refund them: `reservation-worker dlq compensations` lists the payments.",
        )
    recent = dead["in_window"]
    if depth:
        title, detail = "Dead letters wait for a person", f"{depth:,} in the dead-letter queue"
        if not up_to_date:
            detail += " when SQS last reported it"
        if recent:
            detail += f"; this worker sent {recent:,} in the last 15 minutes"
        if depth > sum(dead["by_reason"].values()):
            detail += "; payments without a seat may be among those whose reason it does not know"
    elif recent:
        title, detail = "Events are dead-lettered", f"{recent:,} in the last 15 minutes"
    else:
        return
    yield Finding(
        Condition.ATTENTION,
        title,
        detail,
        "`reservation-worker dlq list` groups them by reason, `reservation-worker dlq"
        " compensations` lists the payments without a seat.",
    )


def _unreadable(figures: Mapping[str, Any]) -> Iterator[Finding]:
    # Where the queue itself can't be read, another finding reports it.
    if figures["queue"]["visible"] is not None and figures["dead_letters"]["depth"] is None:
        yield Finding(
            Condition.ATTENTION,
            "The depth of the dead-letter queue can't be read",
            "this page knows only the dead letters that this worker has sent since its start",
            "Allow sqs:GetQueueUrl and sqs:GetQueueAttributes on the dead-letter queue. Where there"
            " is none, give the queue a RedrivePolicy.",
        )


def _unsent(unsent: int) -> Iterator[Finding]:
    if unsent:
        yield Finding(
            Condition.ATTENTION,
            "Dead letters could not be sent",
            f"{unsent:,} since the start; their messages stay in the queue for now",
            "Check that the queue has a dead-letter queue (or SQS_DLQ_URL) and that"
            " sqs:SendMessage on it is allowed.",
        )
