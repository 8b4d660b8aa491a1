"""A queue that does not fit is told plainly, at start, and never refused."""

from collections.abc import Iterator

import pytest
from loguru import logger

from reservation_worker.errors import SqsError
from reservation_worker.sqs.facts import DEFAULT_VISIBILITY, QueueFacts, misfits
from reservation_worker.sqs.fitness import describe

FITTING = QueueFacts(visibility=60, max_receive_count=30, retention=345_600)


class Queue:
    """As far as a start asks it; `failures` come first."""

    def __init__(self, facts: QueueFacts = FITTING, dlq: str | None = "url") -> None:
        self.facts = facts
        self.dlq = dlq
        self.failures: list[SqsError] = []
        self.asked = 0

    def describe(self) -> QueueFacts:
        self.asked += 1
        if self.failures:
            raise self.failures.pop(0)
        return self.facts

    def find_dlq(self) -> str:
        if self.dlq is None:
            raise SqsError("NoDeadLetterQueue", "there is no dead-letter queue")
        return self.dlq


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(line.record["message"]), level="WARNING")
    yield lines
    logger.remove(sink)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)


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


def test_everything_that_does_not_fit_is_told_at_once() -> None:
    assert len(found(visibility=30, max_receive_count=3)) == 2


def test_a_fitting_queue_is_described_without_a_word(warnings: list[str]) -> None:
    assert describe(Queue(), 10, 5) == FITTING  # type: ignore[arg-type]
    assert warnings == []


def test_a_queue_that_does_not_fit_is_taken_as_it_is_with_a_warning_for_each(
    warnings: list[str],
) -> None:
    facts = QueueFacts(visibility=30, max_receive_count=3)
    assert describe(Queue(facts), 10, 5) == facts  # type: ignore[arg-type]
    assert len(warnings) == 2


def test_a_missing_dead_letter_queue_is_a_warning(warnings: list[str]) -> None:
    assert describe(Queue(dlq=None), 10, 5) == FITTING  # type: ignore[arg-type]
    [line] = warnings
    assert "there is no dead-letter queue" in line


def test_an_answer_that_fails_for_a_moment_is_asked_for_again(warnings: list[str]) -> None:
    queue = Queue()
    queue.failures = [SqsError("ServiceUnavailable", "a moment")] * 2
    assert describe(queue, 10, 5) == FITTING  # type: ignore[arg-type]
    assert (queue.asked, warnings) == (3, [])


def test_attributes_that_cannot_be_read_mean_the_default_and_a_warning(
    warnings: list[str],
) -> None:
    queue = Queue()
    queue.failures = [SqsError("ServiceUnavailable", "down")] * 3
    assert describe(queue, 10, 5) == QueueFacts(DEFAULT_VISIBILITY)  # type: ignore[arg-type]
    assert DEFAULT_VISIBILITY == 30
    [line] = warnings
    assert "30 s" in line
    assert "down" in line


def test_a_denied_read_is_not_repeated(warnings: list[str]) -> None:
    queue = Queue()
    queue.failures = [SqsError("AccessDenied", "no")] * 3
    assert describe(queue, 10, 5) == QueueFacts()  # type: ignore[arg-type]
    assert (queue.asked, len(warnings)) == (1, 1)


@pytest.mark.parametrize(("days", "words"), [(14, "keeps its age"), (1, "loses events")])
def test_a_retention_that_does_not_fit_is_told_with_its_cost(days: int, words: str) -> None:
    [line] = misfits(QueueFacts(60, 30, days * 86_400), call_timeout=10, max_retries=5)
    assert f"{days} days" in line
    assert words in line
