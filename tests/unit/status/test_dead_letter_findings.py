"""The condition says what the dead-letter queue says, whatever this process has counted."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from reservation_worker.status.condition import Condition, Finding
from reservation_worker.status.dead_letters import (
    CRITICAL_SHARE,
    CRITICAL_WINDOW,
    FEWEST,
    dead_letter_findings,
)
from reservation_worker.status.series import DEAD

RULES = Path(__file__).parents[3] / "k8s/monitoring/rules.yaml"
REASONS = ("invalid_payload", "permanent_error", "retries_exhausted", "compensation_required")
OWED = {"by_reason": dict.fromkeys(REASONS, 0) | {"compensation_required": 5}}


def look(
    settled: int = 0,
    dead_lettered: int = 0,
    retried: int = 0,
    visible: int | None = 0,
    **dead: Any,
) -> list[Finding]:
    letters = {
        "by_reason": dict.fromkeys(REASONS, 0),
        "depth": 0,
        "in_window": 0,
        "unsent": 0,
        "last_seconds_ago": None,
    }
    return dead_letter_findings(
        {
            "dead_letters": letters | dead,
            "last_5_minutes": {
                "settled": settled,
                "dead_lettered": dead_lettered,
                "retried": retried,
            },
            "queue": {"visible": visible, "read_seconds_ago": 10.0},
        }
    )


# The depth of the dead-letter queue.


def test_letters_of_an_earlier_process_need_attention() -> None:
    [finding] = look(depth=20_007)
    assert finding.condition is Condition.ATTENTION
    assert "20,007 in the dead-letter queue" in finding.detail
    assert "payments without a seat may be among" in finding.detail
    assert "dlq compensations" in finding.advice


def test_an_empty_dead_letter_queue_needs_none() -> None:
    assert look() == []


def test_letters_that_somebody_has_resolved_need_no_attention_any_more() -> None:
    sent = {"in_window": 5, "last_seconds_ago": 71.0, **OWED}
    assert look(depth=0, **sent) == []
    assert look(depth=2, **sent) != []


def test_an_empty_queue_is_not_believed_while_sqs_may_not_count_the_last_letter_yet() -> None:
    compensation, recent = look(depth=0, in_window=5, last_seconds_ago=69.0, **OWED)
    assert compensation.title == "Somebody paid and has no seat"
    assert recent.title == "Events are dead-lettered"


def test_a_payment_without_a_seat_comes_first_and_is_counted_as_far_as_it_is_known() -> None:
    all_wait, letters = look(depth=6, last_seconds_ago=500.0, **OWED)
    assert "5 as compensation_required" in all_wait.detail
    assert "at most" not in all_wait.detail
    assert letters.title == "Dead letters wait for a person"
    some_wait, letters = look(depth=2, last_seconds_ago=500.0, **OWED)
    assert "at most 2 of them still wait" in some_wait.detail
    assert "payments without a seat" not in letters.detail


def test_a_depth_that_may_not_include_the_last_letters_limits_nothing() -> None:
    owed, letters = look(depth=2, in_window=5, last_seconds_ago=69.0, **OWED)
    assert "at most" not in owed.detail
    assert letters.detail.startswith("2 in the dead-letter queue when SQS last reported it;")


def test_a_depth_that_cannot_be_read_is_no_good_news() -> None:
    [finding] = look(depth=None)
    assert "sqs:GetQueueAttributes" in finding.advice
    compensation, recent, unreadable = look(depth=None, in_window=5, last_seconds_ago=3.0, **OWED)
    assert "5 as compensation_required" in compensation.detail
    assert recent.title == "Events are dead-lettered"
    assert unreadable == finding


def test_before_the_first_answer_of_sqs_nothing_is_reported_as_unreadable() -> None:
    assert look(depth=None, visible=None) == []


def test_letters_that_could_not_be_sent_need_attention() -> None:
    [finding] = look(unsent=1_000)
    assert finding.detail.startswith("1,000 since the start")
    assert "SQS_DLQ_URL" in finding.advice


# The share of dead-lettered deliveries.


@pytest.mark.parametrize(
    ("settled", "dead", "retried", "critical"),
    [
        (1, 1_333, 0, True),
        (94, 6, 0, True),
        (95, 5, 0, False),
        (0, 5, 95, False),
        (0, 6, 94, True),
        (0, FEWEST - 1, 0, False),  # one bad message on a quiet queue
        (0, 0, 1_000, False),
        (0, 0, 0, False),
    ],
)
def test_more_dead_letters_than_the_critical_share_are_critical(
    settled: int, dead: int, retried: int, critical: bool
) -> None:
    found = [finding.condition for finding in look(settled, dead, retried)]
    assert found == [Condition.CRITICAL] * critical


def test_a_mass_failure_is_reported_in_figures() -> None:
    [finding] = look(1, 1_333)
    assert finding.title == "99.9 % of the deliveries are dead-lettered"
    assert "1,333 of 1,334 in the last 5 minutes; more than 5 % is critical" in finding.detail


def test_the_critical_share_is_the_one_of_the_alert() -> None:
    [group] = yaml.safe_load(RULES.read_text())["groups"]
    [rule] = [rule for rule in group["rules"] if rule.get("alert") == "HighErrorRate"]
    assert rule["labels"]["severity"] == "critical"
    assert f"> {CRITICAL_SHARE:g}" in rule["expr"]
    assert set(re.findall(r"\[(.*?)\]", rule["expr"])) == {f"{CRITICAL_WINDOW / 60:g}m"}
    assert f'outcome=~"{"|".join(DEAD)}"' in rule["expr"]
