"""What is said first on the status page: the worst on top, each with what to do."""

from typing import Any

import pytest

from reservation_worker.pipeline.neighbours import INVENTORY, RESERVATION_API
from reservation_worker.resilience.breaker import State
from reservation_worker.status.findings import Finding, Verdict, assess
from reservation_worker.status.probes import Check

HEALTH = [Check("poller", True, "polling"), Check("threads", True, "0 of 20")]
READY = [Check("queue", True, "received"), Check("draining", True, "no")]
CLOSED = {RESERVATION_API: (State.CLOSED, 0.0), INVENTORY: (State.CLOSED, 0.0)}
SETTINGS = {"INVENTORY_GRPC_ADDR": "inv:8021", "RESERVATION_API_BASE": "http://api:8010"}
REASONS = ("invalid_payload", "permanent_error", "retries_exhausted", "compensation_required")


def figures(**changes: Any) -> dict[str, Any]:
    dead = {"by_reason": dict.fromkeys(REASONS, 0), "depth": 0, "in_window": 0, "unsent": 0}
    made: dict[str, Any] = {
        "dead_letters": dead | changes.pop("dead", {}),
        "last_minute": {"oldest_age_seconds": changes.pop("age", None)},
        "queue": {"problem": changes.pop("problem", None)},
        "polling": {"errors_in_a_row": changes.pop("errors", 0)},
    }
    assert not changes
    return made


def look(
    health: list[Check] = HEALTH,
    ready: list[Check] = READY,
    breakers: dict[str, tuple[State, float]] = CLOSED,
    **changes: Any,
) -> tuple[Verdict, list[Finding]]:
    return assess(health, ready, breakers, SETTINGS, figures(**changes))


def red(name: str, detail: str) -> list[Check]:
    return [Check(name, False, detail)]


OWED = {"by_reason": dict.fromkeys(REASONS, 0) | {"compensation_required": 2}, "depth": 5}


def test_nothing_found_is_healthy() -> None:
    assert look() == (Verdict.OK, [])


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({"health": red("poller", "late or dead")}, Verdict.FAILING, "restart"),
        ({"health": red("threads", "20 of 20")}, Verdict.FAILING, "SIGUSR1"),
        ({"ready": red("draining", "stopping")}, Verdict.DRAINING, "another worker"),
        ({"ready": red("queue", "4 receives failed in a row")}, Verdict.NOT_READY, "doctor"),
        ({"ready": red("rights", "AccessDenied")}, Verdict.NOT_READY, "policy"),
        ({"ready": red("queue", "no receive has succeeded yet")}, Verdict.STARTING, "Wait"),
        ({"breakers": CLOSED | {INVENTORY: (State.OPEN, 4.0)}}, Verdict.NOT_READY, "inv:8021"),
        ({"breakers": CLOSED | {RESERVATION_API: (State.OPEN, 4.0)}}, Verdict.NOT_READY, "api:"),
        ({"breakers": CLOSED | {INVENTORY: (State.HALF_OPEN, 0.0)}}, Verdict.ATTENTION, "Nothing"),
        ({"dead": OWED}, Verdict.ATTENTION, "dlq compensations"),
        ({"dead": OWED | {"depth": None}}, Verdict.ATTENTION, "dlq compensations"),
        ({"dead": {"in_window": 1}}, Verdict.ATTENTION, "dlq list"),
        ({"dead": {"unsent": 1}}, Verdict.ATTENTION, "SQS_DLQ_URL"),
        ({"age": 301.0}, Verdict.ATTENTION, "WORKER_CONCURRENCY"),
        ({"problem": "SQS refuses"}, Verdict.ATTENTION, "sqs:GetQueueAttributes"),
    ],
)
def test_each_trouble_has_its_verdict_and_an_advice(
    changes: dict[str, Any], verdict: Verdict, words: str
) -> None:
    found_verdict, [finding] = look(**changes)
    assert found_verdict is finding.level is verdict
    assert words in finding.advice
    assert finding.title
    assert finding.detail


@pytest.mark.parametrize(
    "changes",
    [
        {"dead": OWED | {"depth": 0}},  # somebody has seen to them
        {"age": 299.0},
        {"problem": "SQS refuses", "errors": 1},  # the failing receives say it
    ],
)
def test_what_is_no_trouble_any_more_is_not_found(changes: dict[str, Any]) -> None:
    assert look(**changes) == (Verdict.OK, [])


def test_the_worst_comes_first_and_is_the_verdict() -> None:
    verdict, findings = look(
        health=red("poller", "late"),
        breakers=CLOSED | {INVENTORY: (State.OPEN, 1.0)},
        age=4_000.0,
        dead=OWED,
    )
    assert verdict is Verdict.FAILING
    levels = [finding.level for finding in findings]
    assert levels == [Verdict.FAILING, Verdict.NOT_READY, Verdict.ATTENTION, Verdict.ATTENTION]
