"""The queue, its dead-letter queue and its policy."""

import json
from typing import Any

import pytest

from reservation_worker.cli.doctor import eventbridge, policies, queue
from reservation_worker.cli.doctor.result import CheckResult, CheckStatus
from tests.unit.cli.doctor.settings import KNOWN, URL, statuses

FITTING = {
    "VisibilityTimeout": "60",
    "MessageRetentionPeriod": "345600",
    "RedrivePolicy": json.dumps(
        {"deadLetterTargetArn": "arn:aws:sqs:x:1:reservation-events-dlq", "maxReceiveCount": 30}
    ),
}


def test_the_queue_as_shipped_is_fine() -> None:
    assert statuses(queue.check_attributes(KNOWN, FITTING)) == [CheckStatus.OK]


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"VisibilityTimeout": "30"}, CheckStatus.WARNING, "VisibilityTimeout is 30 s"),
        ({"VisibilityTimeout": "0"}, CheckStatus.FAILURE, "nothing is received"),
        ({"FifoQueue": "true"}, CheckStatus.FAILURE, "FIFO"),
    ],
)
def test_an_attribute_that_does_not_fit_is_reported_with_advice(
    changes: dict[str, str], status: CheckStatus, words: str
) -> None:
    there, row = queue.check_attributes(KNOWN, FITTING | changes)
    assert (there.status, row.status) == (CheckStatus.OK, status)
    assert words in row.detail
    assert row.advice


RULE = "arn:aws:events:ap-northeast-2:123456789012:rule/tickets/reservation-events"


def statement(**changes: Any) -> dict[str, Any]:
    made = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
    }
    return made | changes


def when(operator: str, arn: str) -> dict[str, Any]:
    return {operator: {"aws:SourceArn": arn}}


@pytest.mark.parametrize(
    ("statements", "may"),
    [
        ([statement()], True),
        (statement(), True),
        ([statement(Principal={"Service": ["sns.amazonaws.com", "events.amazonaws.com"]})], True),
        ([statement(Principal="*", Condition=when("ArnEquals", RULE))], True),
        ([statement(Principal={"AWS": "*"}, Action=["SQS:*"])], True),
        ([statement(Condition=when("ArnLike", RULE.replace("tickets", "*")))], True),
        ([statement(Condition=when("ArnEquals", RULE + "-old"))], False),
        ([statement(Effect="Deny")], False),
        ([statement(Principal={"Service": "sns.amazonaws.com"})], False),
        ([statement(Action="sqs:ReceiveMessage")], False),
        ("wild", False),
        (None, False),
    ],
)
def test_a_queue_policy_is_read_for_whether_a_rule_may_send(statements: Any, may: bool) -> None:
    found = policies.source_arns(json.dumps({"Statement": statements}), "sqs:SendMessage")
    assert policies.admits(found, RULE) is may


def test_a_rule_of_another_account_is_unknown_not_missing() -> None:
    theirs = RULE.replace("1234", "9999")
    policy = json.dumps({"Statement": [statement(Condition=when("ArnEquals", theirs))]})
    arn = "arn:aws:sqs:ap-northeast-2:123456789012:reservation-events"
    [row] = eventbridge.check_rules(URL, arn, [], policy)
    assert row.status is CheckStatus.UNKNOWN
    assert theirs in row.detail


ARN = "arn:aws:sqs:ap-northeast-2:1:reservation-events"
DLQ_ARN = json.loads(FITTING["RedrivePolicy"])["deadLetterTargetArn"]
DAY = 86_400


class Sqs:
    """Answers the calls about the dead-letter queue."""

    def __init__(self, attributes: dict[str, str]) -> None:
        self.attributes = {"MessageRetentionPeriod": str(14 * DAY)} | attributes

    def get_queue_url(self, **asked: str) -> dict[str, str]:
        return {"QueueUrl": f"https://q/{asked['QueueOwnerAWSAccountId']}/{asked['QueueName']}"}

    def get_queue_attributes(self, **asked: Any) -> dict[str, Any]:
        return {"Attributes": self.attributes}


def dead_letters(
    attributes: dict[str, str], dead: dict[str, str], **known: str
) -> tuple[str | None, list[CheckResult]]:
    return queue.dead_letters(KNOWN | known, attributes, Sqs(dead))  # type: ignore[arg-type]


def test_the_dead_letter_queue_is_found_by_the_redrive_policy() -> None:
    url, rows = dead_letters(FITTING, {})
    assert url == "https://q/1/reservation-events-dlq"
    assert statuses(rows) == [CheckStatus.OK]


def test_a_dead_letter_queue_is_recognised_by_another_url() -> None:
    spelt = "https://legacy/1/reservation-events-dlq/"
    _, rows = dead_letters(FITTING, {"QueueArn": DLQ_ARN}, sqs_dlq_url=spelt)
    assert statuses(rows) == [CheckStatus.OK]


@pytest.mark.parametrize(
    ("attributes", "dead", "url", "status", "words"),
    [
        ({}, {}, None, CheckStatus.FAILURE, "there is none"),
        (
            FITTING,
            {"MessageRetentionPeriod": str(DAY)},
            None,
            CheckStatus.WARNING,
            "keeps messages 1 days, the queue 4",
        ),
        (
            FITTING,
            {"MessageRetentionPeriod": str(4 * DAY)},
            None,
            CheckStatus.WARNING,
            "keeps messages 4 days, the queue 4",
        ),
        (FITTING, {}, "https://q/1/another", CheckStatus.WARNING, DLQ_ARN),
        (
            FITTING | {"QueueArn": ARN},
            {"QueueArn": ARN},
            "https://another.host/1/reservation-events",
            CheckStatus.FAILURE,
            "it is the queue itself",
        ),
    ],
)
def test_a_dead_letter_queue_that_does_not_fit_is_reported(
    attributes: dict[str, str],
    dead: dict[str, str],
    url: str | None,
    status: CheckStatus,
    words: str,
) -> None:
    _, rows = dead_letters(attributes, dead, **({"sqs_dlq_url": url} if url else {}))
    [row] = [row for row in rows if row.status is not CheckStatus.OK]
    assert (row.status, bool(row.advice)) == (status, True)
    assert words in row.detail
