"""What the status page says first: the worst finding on top, each with its advice."""

from typing import Any

import pytest

from reservation_worker.pipeline.neighbours import INVENTORY, RESERVATION_API
from reservation_worker.resilience.breaker import State
from reservation_worker.status.condition import Condition, Finding
from reservation_worker.status.findings import assess
from reservation_worker.status.probes import Check

HEALTH = [Check("poller", True, "polling"), Check("threads", True, "0 of 20")]
READY = [Check("queue", True, "received"), Check("draining", True, "no")]
CLOSED = {RESERVATION_API: (State.CLOSED, 0.0), INVENTORY: (State.CLOSED, 0.0)}
SETTINGS = {"INVENTORY_GRPC_ADDR": "inv:8021", "RESERVATION_API_BASE": "http://api:8010"}
NO_DELIVERIES = {"settled": 0, "dead_lettered": 0, "retried": 0}
REASONS = ("invalid_payload", "permanent_error", "retries_exhausted", "compensation_required")


def figures(**changes: Any) -> dict[str, Any]:
    dead = {
        "by_reason": dict.fromkeys(REASONS, 0),
        "depth": 0,
        "in_window": 0,
        "unsent": 0,
        "last_seconds_ago": None,
    }
    made: dict[str, Any] = {
        "dead_letters": dead | changes.pop("dead", {}),
        "last_minute": {"oldest_age_seconds": changes.pop("age", None)},
        "last_5_minutes": NO_DELIVERIES | changes.pop("last", {}),
        "queue": {
            "problem": changes.pop("problem", None),
            "visible": changes.pop("visible", 0),
            "read_seconds_ago": changes.pop("read", 1.0),
        },
        "polling": {"errors_in_a_row": changes.pop("errors", 0)},
    }
    assert not changes
    return made


def look(
    health: list[Check] = HEALTH,
    ready: list[Check] = READY,
    breakers: dict[str, tuple[State, float]] = CLOSED,
    **changes: Any,
) -> tuple[Condition, list[Finding]]:
    return assess(health, ready, breakers, SETTINGS, figures(**changes))


def red(name: str, detail: str) -> list[Check]:
    return [Check(name, False, detail)]


def test_nothing_found_is_healthy() -> None:
    assert look() == (Condition.OK, [])


@pytest.mark.parametrize(
    ("changes", "condition", "words"),
    [
        ({"health": red("poller", "late or dead")}, Condition.FAILING, "restart"),
        ({"health": red("threads", "20 of 20")}, Condition.FAILING, "SIGUSR1"),
        ({"ready": red("draining", "stopping")}, Condition.DRAINING, "another worker"),
        ({"ready": red("queue", "4 receives failed in a row")}, Condition.NOT_READY, "doctor"),
        ({"ready": red("rights", "AccessDenied")}, Condition.NOT_READY, "policy"),
        ({"ready": red("queue", "no receive has succeeded yet")}, Condition.STARTING, "Wait"),
        ({"breakers": CLOSED | {INVENTORY: (State.OPEN, 4.0)}}, Condition.NOT_READY, "inv:8021"),
        ({"breakers": CLOSED | {RESERVATION_API: (State.OPEN, 4.0)}}, Condition.NOT_READY, "api:"),
        (
            {"breakers": CLOSED | {INVENTORY: (State.HALF_OPEN, 0.0)}},
            Condition.ATTENTION,
            "Nothing",
        ),
        ({"dead": {"unsent": 1}}, Condition.ATTENTION, "SQS_DLQ_URL"),
        ({"age": 301.0}, Condition.ATTENTION, "WORKER_CONCURRENCY"),
        ({"problem": "SQS refuses"}, Condition.ATTENTION, "sqs:GetQueueAttributes"),
    ],
)
def test_each_problem_has_its_condition_and_advice(
    changes: dict[str, Any], condition: Condition, words: str
) -> None:
    found_condition, [finding] = look(**changes)
    assert found_condition is finding.condition is condition
    assert words in finding.advice
    assert finding.title
    assert finding.detail


@pytest.mark.parametrize(
    "changes",
    [
        {"age": 299.0},
        {"problem": "SQS refuses", "errors": 1},  # the failing receives are a finding
    ],
)
def test_a_problem_that_is_over_or_reported_by_another_finding_is_left_out(
    changes: dict[str, Any],
) -> None:
    assert look(**changes) == (Condition.OK, [])


def test_the_worst_comes_first_and_is_the_condition() -> None:
    condition, findings = look(
        health=red("poller", "late"),
        breakers=CLOSED | {INVENTORY: (State.OPEN, 1.0)},
        age=4_000.0,
        last={"dead_lettered": 1_333, "settled": 1},
        dead={"depth": 5},
    )
    assert condition is Condition.FAILING
    assert [finding.condition for finding in findings] == [
        Condition.FAILING,
        Condition.NOT_READY,
        Condition.CRITICAL,
        Condition.ATTENTION,
        Condition.ATTENTION,
    ]
