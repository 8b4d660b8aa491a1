"""What was read of the queue is never for ever."""

from collections.abc import Callable, Iterator

import pytest
from loguru import logger

from reservation_worker.errors import ConfigurationError, SqsError
from reservation_worker.sqs.facts import QueueFacts
from reservation_worker.sqs.watch import AttributeWatch
from tests.fake_queue import eventually

FITTING = QueueFacts(visibility=60, max_receive_count=30)
DOWN = SqsError("ServiceUnavailable", "down")


class Queue:
    """Answers one after the other, and the last one from then on."""

    def __init__(self, *answers: QueueFacts | SqsError) -> None:
        self.answers = list(answers)

    def describe(self) -> QueueFacts:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, SqsError):
            raise answer
        return answer


def watching(
    *answers: QueueFacts | SqsError,
    misfits: Callable[[QueueFacts], list[str]] = lambda facts: [],
    every: float = 60.0,
    again: float = 5.0,
) -> AttributeWatch:
    return AttributeWatch(Queue(*answers).describe, misfits, every, again)


@pytest.fixture
def warnings() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(line.record["message"]), level="WARNING")
    yield lines
    logger.remove(sink)


def test_a_fitting_queue_is_read_without_a_word(warnings: list[str]) -> None:
    watch = watching(FITTING)
    watch.first_look()
    assert (watch.facts, warnings) == (FITTING, [])


def test_the_attributes_are_read_again_after_a_minute() -> None:
    assert watching(FITTING).look() == 60


def test_until_they_can_be_read_they_are_tried_every_few_seconds_with_a_short_lease() -> None:
    watch = watching(DOWN, DOWN, FITTING)
    assert watch.look() == 5
    assert watch.facts.visibility == 10
    assert watch.look() == 5
    assert watch.look() == 60
    assert watch.facts == FITTING


def test_known_attributes_are_kept_while_they_can_not_be_read() -> None:
    watch = watching(FITTING, DOWN)
    watch.look()
    assert watch.look() == 5
    assert watch.facts == FITTING


def test_a_change_is_reported_once() -> None:
    lowered = QueueFacts(visibility=5, max_receive_count=30)
    seen: list[QueueFacts] = []
    watch = watching(FITTING, FITTING, lowered, lowered, DOWN, lowered)
    watch.first_look()
    watch.on_change = seen.append
    for _ in range(5):
        watch.look()
    assert seen == [lowered]


def test_a_misfit_is_a_warning_when_it_appears_and_not_every_minute(warnings: list[str]) -> None:
    lowered = QueueFacts(visibility=5)
    watch = watching(
        FITTING,
        lowered,
        lowered,
        DOWN,
        lowered,
        FITTING,
        lowered,
        misfits=lambda facts: ["too short"] if facts.visibility < 60 else [],
    )
    for _ in range(5):
        watch.look()
    assert [line for line in warnings if "too short" in line] == [
        "the queue does not fit: too short"
    ]
    watch.look()
    watch.look()
    assert len([line for line in warnings if "too short" in line]) == 2


def test_attributes_that_can_not_be_read_are_a_warning_with_the_assumed_timeout(
    warnings: list[str],
) -> None:
    watch = watching(DOWN)
    watch.first_look()
    watch.look()
    [line] = warnings
    assert "10 s" in line
    assert "down" in line


def test_a_queue_that_must_not_be_worked_on_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="FIFO"):
        watching(QueueFacts(fifo=True)).first_look()


def test_a_queue_that_is_found_out_later_is_a_warning(warnings: list[str]) -> None:
    watch = watching(DOWN, QueueFacts(dlq_problem="the DLQ is the queue", dlq_is_itself=True))
    watch.first_look()
    watch.look()
    assert "the DLQ is the queue" in warnings[-1]


def test_the_thread_reads_until_it_is_stopped_and_outlives_unexpected_errors() -> None:
    seen: list[QueueFacts] = []

    def change(facts: QueueFacts) -> None:
        seen.append(facts)
        raise RuntimeError("a watcher's bug")

    answers = [QueueFacts(visibility=seconds) for seconds in (60, 30, 20)]
    watch = watching(DOWN, *answers, every=0.001, again=0.001)
    watch.on_change = change
    watch.start()
    eventually(lambda: seen == answers)
    watch.stop()
    watch.stop()


def test_a_stop_before_the_start_is_safe() -> None:
    watch = watching(FITTING)
    watch.stop()
    watch.start()
    watch.stop()
