"""A failed handling becomes another try or a dead letter, by breakers, tries and evidence."""

from dataclasses import replace

import pytest
from opentelemetry.trace import StatusCode

from reservation_worker.errors import BreakerOpen, LeaseTooShort, TransientError
from reservation_worker.events.parse import Event
from reservation_worker.outcome import Ack, DeadLetterReason, Outcome, Reject
from reservation_worker.pipeline.neighbours import RESERVATION_API
from reservation_worker.pipeline.processor import LONGEST_FAILING
from reservation_worker.resilience.backoff import MAX_RETRY_AFTER
from reservation_worker.resilience.breaker import FIRST_OPEN
from tests.unit.pipeline.rig import TRIES, MakeRig, raising

# Tries.


@pytest.mark.parametrize("error", [TransientError("aborted"), TransientError("refused")])
def test_a_passing_failure_gives_the_message_back(make: MakeRig, error: Exception) -> None:
    made = make(raising(error))
    delivery = made.process(times=3)
    assert made.queue.hidden_for(delivery.message.id) == 4
    assert made.events() == {"retried": 1}
    assert made.runs() == {("expired", "downstream_error"): 1}
    [span] = made.spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR


def test_a_neighbours_retry_after_is_kept(make: MakeRig) -> None:
    made = make(raising(TransientError("busy", retry_after=120)))
    assert made.queue.hidden_for(made.process().message.id) == 120


def test_the_last_of_six_tries_is_dead_lettered_and_not_an_earlier_one(make: MakeRig) -> None:
    made = make(raising(TransientError("aborted")))
    made.process(times=TRIES - 1)
    assert made.dead == []
    made.answer_others()
    made.process(times=TRIES)
    assert made.dead == ["retries_exhausted"]
    assert made.events() == {"retried": 1, "failed": 1}


def test_a_message_received_too_often_still_gets_its_try(make: MakeRig) -> None:
    made = make(lambda event: Ack())
    made.process(times=25)
    assert (made.dead, made.queue.left()) == ([], [])


def test_a_bug_in_a_handler_counts_as_a_try(make: MakeRig) -> None:
    made = make(raising(ZeroDivisionError("a bug")))
    delivery = made.process()
    assert made.queue.hidden_for(delivery.message.id) == 1
    assert made.count("worker_retries_total", reason="bug") == 1
    assert made.runs() == {("expired", "retried"): 1}
    made.answer_others()
    made.process(times=TRIES)
    assert made.dead == ["retries_exhausted"]


def test_a_lease_too_short_for_a_call_does_not_count_as_a_try(make: MakeRig) -> None:
    made = make(raising(LeaseTooShort("too short")))
    delivery = made.process(times=TRIES + 3)
    assert made.dead == []
    assert made.queue.hidden_for(delivery.message.id) == 1
    assert made.count("worker_retries_total", reason="lease") == 1


@pytest.mark.parametrize("trouble", ["failure", "breaker", "lease"])
def test_on_its_last_receive_a_message_is_dead_lettered_instead_of_given_back(
    make: MakeRig, trouble: str
) -> None:
    failure = LeaseTooShort("too short") if trouble == "lease" else TransientError("internal")
    made = make(raising(failure))
    made.max_receive_count = 3
    if trouble == "breaker":
        made.open_breaker()
    made.process(times=2)
    assert made.dead == []
    made.process(times=3)
    assert made.dead == ["retries_exhausted"]
    error = made.queue.dlq[0].attributes["dlq_error"]["StringValue"]
    assert error.endswith("the queue allows no further try (maxReceiveCount)")


# Breakers.


def test_while_a_breaker_is_open_no_message_is_tried_or_dead_lettered(
    make: MakeRig,
) -> None:
    made = make(lambda event: Ack())
    made.open_breaker()
    made.clock.advance(1.5)
    delivery = made.process(times=25)
    assert (made.handled, made.dead) == ([], [])
    assert made.queue.hidden_for(delivery.message.id) == 4
    assert made.count("worker_retries_total", reason="breaker") == 1


def test_a_message_that_fails_while_a_breaker_opens_comes_back_after_the_open_time(
    make: MakeRig,
) -> None:
    def handler(event: Event) -> Outcome:
        made.open_breaker(RESERVATION_API)
        raise TransientError("refused")

    made = make(handler)
    delivery = made.process(times=TRIES)
    assert made.dead == []
    assert made.queue.hidden_for(delivery.message.id) == FIRST_OPEN


def test_a_retry_after_beyond_the_open_time_is_kept(make: MakeRig) -> None:
    def handler(event: Event) -> Outcome:
        made.open_breaker()
        raise TransientError("busy", retry_after=120)

    made = make(handler)
    assert made.queue.hidden_for(made.process().message.id) == 120


def test_a_retry_after_is_bounded_while_a_breaker_is_open_too(make: MakeRig) -> None:
    def handler(event: Event) -> Outcome:
        made.open_breaker(RESERVATION_API)
        raise TransientError("HTTP 503", retry_after=10**9)

    made = make(handler)
    delivery = made.process()
    assert made.queue.hidden_for(delivery.message.id) == MAX_RETRY_AFTER


def test_a_call_refused_by_the_breaker_does_not_count_as_a_try(make: MakeRig) -> None:
    made = make(raising(BreakerOpen("inventory", 3.5)))
    delivery = made.process(times=TRIES)
    assert made.dead == []
    assert made.queue.hidden_for(delivery.message.id) == 4
    assert made.runs() == {("expired", "downstream_error"): 1}


def test_a_permanent_failure_is_dead_lettered_while_a_breaker_is_open(make: MakeRig) -> None:
    def handler(event: Event) -> Outcome:
        made.open_breaker()
        return Reject(DeadLetterReason.PERMANENT_ERROR, "no")

    made = make(handler)
    made.process()
    assert made.dead == ["permanent_error"]


def test_an_invalid_body_is_dead_lettered_while_a_breaker_is_open(make: MakeRig) -> None:
    made = make(lambda event: Ack())
    made.open_breaker()
    made.process("no JSON")
    assert made.dead == ["invalid_payload"]


# Evidence.


def test_without_evidence_a_message_is_given_back_however_often_it_was_tried(make: MakeRig) -> None:
    made = make(raising(TransientError("internal")))
    made.max_receive_count = None
    delays = []
    for times in (TRIES, TRIES + 1, TRIES + 2, TRIES + 3, 40):
        delays.append(made.queue.hidden_for(made.process(times=times).message.id))
    assert delays == [32, 64, 128, 256, 300]
    assert made.dead == []


@pytest.mark.parametrize("age", [59.9, 60.1])
def test_an_answer_to_another_message_is_evidence_for_a_minute(make: MakeRig, age: float) -> None:
    made = make(raising(TransientError("internal")))
    made.answer_others()
    made.clock.advance(age)
    made.run_failing_for(age + 1)
    assert made.dead == (["retries_exhausted"] if age < 60 else [])


def test_an_answer_from_before_the_message_began_to_fail_is_no_evidence(make: MakeRig) -> None:
    made = make(raising(TransientError("internal")))
    made.answer_others()
    made.clock.advance(40)
    made.run_failing_for(31)
    assert made.dead == []
    made.run_failing_for(41)
    assert made.dead == ["retries_exhausted"]


def test_an_answer_to_the_same_message_is_no_evidence(make: MakeRig) -> None:
    made = make(raising(TransientError("internal")))
    delivery = made.received(times=TRIES)[0]
    made.evidence.add(RESERVATION_API, delivery.message.id)
    made.run(delivery)
    assert made.dead == []


def test_a_message_that_has_failed_for_an_hour_needs_no_evidence(make: MakeRig) -> None:
    made = make(raising(TransientError("internal")))
    made.run_failing_for(LONGEST_FAILING - 1)
    assert made.dead == []
    made.run_failing_for(LONGEST_FAILING)
    assert made.dead == ["retries_exhausted"]


@pytest.mark.parametrize("messages", [1, 4])
def test_ten_minutes_of_429_put_nothing_into_the_dead_letter_queue(
    make: MakeRig, messages: int
) -> None:
    made = make(raising(TransientError("429")))
    made.answer_others()
    made.clock.advance(1)
    elapsed, receives = 0.0, 0
    while elapsed < 600:
        receives += 1
        delays = []
        for _ in range(messages):
            delivery = made.received(times=receives)[0]
            delivery.message = replace(delivery.message, since_first_receive=elapsed)
            made.run(delivery)
            delays.append(made.queue.hidden_for(delivery.message.id))
            # The next try is a message of its own here: only its counts and times matter.
            made.queue.delete([delivery.message.receipt])
        elapsed += delays[0]
        made.clock.advance(delays[0])
    assert made.max_receive_count is not None
    assert receives < made.max_receive_count
    assert made.dead == []
