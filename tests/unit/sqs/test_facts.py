"""Each attribute that does not fit the worker is reported with its cost."""

import pytest

from reservation_worker.sqs.facts import (
    DeadLetterQueue,
    QueueFacts,
    dead_letter_arn,
    misfits,
    refusals,
)


def found(**facts: int | None) -> list[str]:
    values = {"visibility": 60, "max_receive_count": 30} | facts
    return misfits(QueueFacts(**values), call_timeout=10, max_retries=5)  # type: ignore[arg-type]


def test_a_queue_as_we_ship_it_fits() -> None:
    assert found() == []


def test_todays_visibility_is_named_with_its_cost() -> None:
    [sentence] = found(visibility=30)
    assert "VisibilityTimeout is 30 s, 60 is wanted" in sentence


def test_a_visibility_shorter_than_a_call_is_named_with_its_cost() -> None:
    [sentence] = found(visibility=9)
    assert "shorter than one call (10 s)" in sentence


def test_a_visibility_of_nothing_is_named_as_hopeless() -> None:
    [sentence] = found(visibility=0)
    assert "nothing can be handled" in sentence


@pytest.mark.parametrize(("count", "tries"), [(1, 1), (3, 3), (6, 6), (29, 6)])
def test_todays_receive_count_is_named_with_the_tries_it_leaves(count: int, tries: int) -> None:
    [sentence] = found(max_receive_count=count)
    assert f"maxReceiveCount is {count}, 30 is wanted" in sentence
    assert f"{tries} of 6 tries" in sentence


def test_a_queue_without_a_redrive_policy_is_named() -> None:
    [sentence] = found(max_receive_count=None)
    assert "no RedrivePolicy" in sentence


def test_all_misfits_are_reported_at_once() -> None:
    assert len(found(visibility=30, max_receive_count=3)) == 2


def test_a_missing_dead_letter_queue_is_reported_with_its_cost() -> None:
    facts = QueueFacts(60, 30, dlq_problem="there is no dead-letter queue")
    [sentence] = misfits(facts, call_timeout=10, max_retries=5)
    assert sentence.startswith("what fails for good stays in the queue")
    assert sentence.endswith("there is no dead-letter queue")


def test_until_it_is_known_a_queue_has_the_shortest_sensible_visibility() -> None:
    assert QueueFacts().visibility == 10
    assert QueueFacts.read({}).visibility == 10


def test_the_attributes_are_read_as_sqs_answers_them() -> None:
    attributes = {
        "VisibilityTimeout": "60",
        "MessageRetentionPeriod": "345600",
        "MaximumMessageSize": "1024",
        "QueueArn": "arn:aws:sqs:ap-northeast-2:1:q",
        "RedrivePolicy": '{"deadLetterTargetArn":"arn:aws:sqs:x:1:q-dlq","maxReceiveCount":"30"}',
    }
    arn = "arn:aws:sqs:ap-northeast-2:1:q"
    assert QueueFacts.read(attributes) == QueueFacts(60, 30, 345_600, 1024, arn)


@pytest.mark.parametrize(
    "policy",
    [
        "",
        "{oops",
        "[]",
        "null",
        '{"maxReceiveCount": "many", "deadLetterTargetArn": "dlq"}',
        '{"maxReceiveCount": null, "deadLetterTargetArn": null}',
    ],
)
def test_a_redrive_policy_that_cannot_be_read_is_none(policy: str) -> None:
    attributes = {"RedrivePolicy": policy}
    assert QueueFacts.read(attributes).max_receive_count is None
    assert dead_letter_arn(attributes) is None


def test_a_queue_that_works_is_not_refused() -> None:
    assert refusals(QueueFacts(dlq=DeadLetterQueue("url"))) == []
    assert refusals(QueueFacts(dlq_problem="there is no dead-letter queue")) == []


def test_a_fifo_queue_is_refused_with_the_reason() -> None:
    [sentence] = refusals(QueueFacts.read({"FifoQueue": "true"}))
    assert sentence.startswith("SQS_QUEUE_URL is a FIFO queue: ")


def test_a_queue_that_is_its_own_dead_letter_queue_is_refused() -> None:
    facts = QueueFacts(dlq_problem="the dead-letter queue is the queue", dlq_is_itself=True)
    [sentence] = refusals(facts)
    assert "SQS_DLQ_URL" in sentence


@pytest.mark.parametrize(("days", "words"), [(14, "keeps its age"), (1, "loses events")])
def test_a_retention_that_does_not_fit_is_reported_with_its_cost(days: int, words: str) -> None:
    [line] = misfits(QueueFacts(60, 30, days * 86_400), call_timeout=10, max_retries=5)
    assert f"{days} days" in line
    assert words in line
