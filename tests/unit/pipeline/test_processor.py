"""One delivery on its pool thread: what its handler's end becomes, by lease, breakers and tries."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from loguru import logger
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from reservation_worker.errors import (
    BreakerOpen,
    LeaseLost,
    LeaseTooShort,
    TransientError,
)
from reservation_worker.events.kinds import Kind
from reservation_worker.events.parse import Event
from reservation_worker.observability.tracing import Tracing
from reservation_worker.outcome import Ack, DeadLetterReason, Outcome, Reject, Retry
from reservation_worker.pipeline import delivery as delivery_module
from reservation_worker.pipeline.breakers import Breakers, ProbedBreaker
from reservation_worker.pipeline.completer import Completer
from reservation_worker.pipeline.custody import Custody
from reservation_worker.pipeline.deleter import Deleter
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.leases import Leases
from reservation_worker.pipeline.memory import SettledMemory
from reservation_worker.pipeline.neighbours import INVENTORY, RESERVATION_API, GuardedNeighbours
from reservation_worker.pipeline.processor import (
    DEADLINE_CALLS,
    HANDLER,
    LONGEST_FAILING,
    Processor,
)
from reservation_worker.resilience.backoff import MAX_RETRY_AFTER, tries
from reservation_worker.resilience.breaker import FIRST_OPEN, Breaker, State
from reservation_worker.resilience.evidence import Evidence
from reservation_worker.sqs.queue import Message
from tests.fake_queue import (
    PATIENCE,
    FakeClock,
    FakeQueue,
    event_body,
    eventually,
    new_metrics,
    opened,
    sample,
)

VISIBILITY = 60
TIMEOUT = 10.0
TRIES = 6


class Rig:
    """A processor on real parts; `handler` stands for all three settlement rules."""

    def __init__(self, handler: Callable[[Event], Outcome]) -> None:
        self.clock = FakeClock()
        self.queue = FakeQueue(self.clock, VISIBILITY)
        self.metrics = new_metrics()
        self.memory = SettledMemory()
        self.spans = InMemorySpanExporter()
        self.handled: list[Event] = []
        self.leases = Leases(self.queue, VISIBILITY, self.clock, self.metrics)
        self.breakers = {
            name: Breaker(name, self.clock, lambda: 0.5) for name in (RESERVATION_API, INVENTORY)
        }
        self.guard = Breakers(
            {name: ProbedBreaker(one, lambda timeout: None) for name, one in self.breakers.items()}
        )
        self.custody = Custody(self.clock)
        self.taken = 0
        self.wall = 10_000.0
        self.max_receive_count: int | None = 30
        self.evidence = Evidence(self.clock)
        self.deleter = Deleter(
            self.queue,
            self.custody,
            self.memory,
            self.metrics,
            lambda one: self.leases.held(one.lease),
            0.001,
        )
        self.deleter.start()
        self.completer = Completer(
            self.queue,
            self.custody,
            self.leases,
            self.deleter,
            self.metrics,
            lambda: self.max_receive_count,
            base_ms=1_000,
            max_retries=5,
            clock=self.clock,
            wall_clock=lambda: 0.0,
        )
        nobody: Any = None  # no test here makes a call
        tracing = Tracing("pod", "queue", SimpleSpanProcessor(self.spans))

        def handle(event: Event, neighbours: object) -> Outcome:
            self.handled.append(event)
            return handler(event)

        self.processor = Processor(
            dict.fromkeys(Kind, handle),
            partial(
                GuardedNeighbours,
                nobody,
                nobody,
                self.guard,
                self.evidence,
                self.leases,
                tracing,
                TIMEOUT,
                300,
                lambda: self.wall,
            ),
            self.guard,
            self.evidence,
            self.leases,
            self.completer,
            self.memory,
            tracing,
            self.metrics,
            self.clock,
            lambda: self.wall,
            5,
            lambda: self.max_receive_count,
            DEADLINE_CALLS * TIMEOUT,
        )

    def received(self, body: str | None = None, times: int = 1, **parts: Any) -> Delivery:
        """A new message, received for the `times`-th time."""
        message_id = self.queue.send(body, **parts)
        for _ in range(times - 1):
            [message] = self.queue.receive(1, 0)
            self.queue.change_visibility([message.receipt], 0)
        [message] = self.queue.receive(1, 0)
        assert message.id == message_id
        self.queue._calls.clear()
        return self.take(message)

    def take(self, message: Message) -> Delivery:
        """Open a delivery of a message that was just received."""
        delivery = opened(message, self.clock(), self.leases.open)
        self.custody.take([delivery])
        self.taken += 1
        return delivery

    def process(self, body: str | None = None, times: int = 1, **parts: Any) -> Delivery:
        delivery = self.received(body, times, **parts)
        self.run(delivery)
        return delivery

    def run(self, delivery: Delivery) -> None:
        self.processor.process(delivery)
        eventually(lambda: self.custody.endings.total() + self.given_up() == self.taken)

    def run_failing_for(self, seconds: float) -> None:
        """The last try of a message that was first received `seconds` ago."""
        delivery = self.received(times=TRIES)
        first = self.wall - seconds
        delivery.message = replace(delivery.message, first_received_at=first)
        self.run(delivery)

    def given_up(self) -> float:
        return sample(self.metrics, "worker_delete_failures_total")

    def answer_others(self) -> None:
        """Everything that a message can fail at has just served another message well."""
        for name in (RESERVATION_API, INVENTORY, HANDLER):
            self.evidence.add(name, "another")

    def open_breaker(self, name: str = INVENTORY) -> None:
        breaker = self.breakers[name]
        for number in range(10):
            breaker.record(breaker.admit(), f"m{number}", ok=False)

    def half_open_breaker(self) -> None:
        self.open_breaker()
        self.clock.advance(FIRST_OPEN)
        self.guard.probe_due_ones()
        assert self.guard.states()[INVENTORY] is State.HALF_OPEN

    def runs(self) -> dict[tuple[str, str], float]:
        """How many handler runs were measured, by handler and outcome."""
        [family] = [
            one
            for one in self.metrics.registry.collect()
            if one.name == "worker_processing_duration_seconds"
        ]
        return {
            (one.labels["handler"], one.labels["outcome"]): one.value
            for one in family.samples
            if one.name.endswith("_count") and one.value
        }

    def events(self, kind: str = "expired") -> dict[str, float]:
        outcomes = ("success", "dropped", "retried", "failed", "invalid_payload")
        counted = {
            one: sample(self.metrics, "worker_events_total", type=kind, outcome=one)
            for one in outcomes
        }
        return {outcome: value for outcome, value in counted.items() if value}

    @property
    def dead(self) -> list[str]:
        """The reasons of the dead letters."""
        return [one.attributes["dlq_reason"]["StringValue"] for one in self.queue.dlq]


def raising(error: Exception) -> Callable[[Event], Outcome]:
    def handler(event: Event) -> Outcome:
        raise error

    return handler


MakeRig = Callable[[Callable[[Event], Outcome]], Rig]


@pytest.fixture
def rig() -> Iterator[MakeRig]:
    made: list[Rig] = []

    def make(handler: Callable[[Event], Outcome]) -> Rig:
        made.append(Rig(handler))
        return made[-1]

    yield make
    for one in made:
        one.deleter.stop(PATIENCE)


# From content to outcome.


@pytest.mark.parametrize(
    ("event_type", "kind", "span"),
    [
        ("reservation.expired", "expired", "handle_reservation_expired"),
        ("payment.approved", "approved", "handle_payment_approved"),
        ("payment.failed", "failed", "handle_payment_failed"),
    ],
)
def test_an_event_is_handled_once_measured_and_settled(
    rig: MakeRig, event_type: str, kind: str, span: str
) -> None:
    made = rig(lambda event: Ack())
    made.process(event_body(event_type, "rsv_7"))
    assert [(one.kind.label, one.reservation_id) for one in made.handled] == [(kind, "rsv_7")]
    assert made.queue.left() == []
    assert made.events(kind) == {"success": 1}
    assert made.runs() == {(kind, "success"): 1}
    assert [one.name for one in made.spans.get_finished_spans()] == [span]


def test_an_invalid_body_is_dead_lettered_at_once_and_no_handler_sees_it(rig: MakeRig) -> None:
    made = rig(lambda event: Ack())
    made.process("no JSON")
    assert (made.handled, made.dead, made.queue.left()) == ([], ["invalid_payload"], [])
    assert made.events("unknown") == {"invalid_payload": 1}
    assert made.runs() == {}


def test_an_event_with_nothing_to_do_is_dropped(rig: MakeRig) -> None:
    made = rig(lambda event: Ack())
    detail = {"event_type": "payment.status_updated", "status": "PAYMENT_STATUS_PENDING"}
    made.process(event_body("Payment Status Updated", **detail))
    assert (made.handled, made.dead, made.queue.left()) == ([], [], [])
    assert made.events("unknown") == {"dropped": 1}


def test_a_bug_in_the_parser_is_no_reason_to_bury_the_message_at_once(
    rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(*args: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(delivery_module, "parse", parse)
    made = rig(lambda event: Ack())
    delivery = made.process()
    assert made.queue.hidden_for(delivery.message.id) == 1
    assert made.dead == []
    made.answer_others()
    made.process(times=TRIES)
    assert made.dead == ["retries_exhausted"]


def test_a_reject_is_dead_lettered(rig: MakeRig) -> None:
    made = rig(lambda event: Reject(DeadLetterReason.COMPENSATION_REQUIRED, "seats gone"))
    made.process(event_body("payment.approved"))
    assert (made.dead, made.queue.left()) == (["compensation_required"], [])
    assert made.events("approved") == {"failed": 1}
    assert made.runs() == {("approved", "failed"): 1}


# Tries.


@pytest.mark.parametrize("error", [TransientError("aborted"), TransientError("refused")])
def test_a_passing_failure_gives_the_message_back(rig: MakeRig, error: Exception) -> None:
    made = rig(raising(error))
    delivery = made.process(times=3)
    assert made.queue.hidden_for(delivery.message.id) == 4
    assert made.events() == {"retried": 1}
    assert made.runs() == {("expired", "downstream_error"): 1}
    [span] = made.spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR


def test_the_wait_a_neighbour_asked_for_is_kept(rig: MakeRig) -> None:
    made = rig(raising(TransientError("busy", retry_after=120)))
    assert made.queue.hidden_for(made.process().message.id) == 120


def test_the_last_of_six_tries_is_dead_lettered_and_not_an_earlier_one(rig: MakeRig) -> None:
    made = rig(raising(TransientError("aborted")))
    made.process(times=TRIES - 1)
    assert made.dead == []
    made.answer_others()
    made.process(times=TRIES)
    assert made.dead == ["retries_exhausted"]
    assert made.events() == {"retried": 1, "failed": 1}


@pytest.mark.parametrize(
    ("max_retries", "max_receive_count", "given"),
    [(5, 30, 6), (5, 3, 3), (5, 6, 6), (5, None, 6), (0, 30, 1)],
)
def test_the_tries_end_before_sqs_would_move_the_message_itself(
    max_retries: int, max_receive_count: int | None, given: int
) -> None:
    assert tries(max_retries, max_receive_count) == given


def test_a_message_received_too_often_still_gets_its_try(rig: MakeRig) -> None:
    made = rig(lambda event: Ack())
    made.process(times=25)
    assert (made.dead, made.queue.left()) == ([], [])


def test_a_bug_in_a_handler_counts_as_a_try(rig: MakeRig) -> None:
    made = rig(raising(ZeroDivisionError("a bug")))
    delivery = made.process()
    assert made.queue.hidden_for(delivery.message.id) == 1
    assert sample(made.metrics, "worker_retries_total", reason="bug") == 1
    assert made.runs() == {("expired", "retried"): 1}
    made.answer_others()
    made.process(times=TRIES)
    assert made.dead == ["retries_exhausted"]


# Breakers.


def test_while_a_breaker_is_open_nothing_is_tried_and_nobody_is_dead_lettered(
    rig: MakeRig,
) -> None:
    made = rig(lambda event: Ack())
    made.open_breaker()
    made.clock.advance(1.5)
    delivery = made.process(times=25)
    assert (made.handled, made.dead) == ([], [])
    assert made.queue.hidden_for(delivery.message.id) == 4
    assert sample(made.metrics, "worker_retries_total", reason="breaker") == 1


def test_what_fails_while_a_breaker_opens_comes_back_after_the_rest_of_its_time(
    rig: MakeRig,
) -> None:
    def handler(event: Event) -> Outcome:
        made.open_breaker(RESERVATION_API)
        raise TransientError("refused")

    made = rig(handler)
    delivery = made.process(times=TRIES)
    assert made.dead == []
    assert made.queue.hidden_for(delivery.message.id) == FIRST_OPEN


def test_a_longer_wait_than_the_open_time_is_kept(rig: MakeRig) -> None:
    def handler(event: Event) -> Outcome:
        made.open_breaker()
        raise TransientError("busy", retry_after=120)

    made = rig(handler)
    assert made.queue.hidden_for(made.process().message.id) == 120


def test_what_a_neighbour_asks_for_is_bounded_while_its_breaker_is_open_too(rig: MakeRig) -> None:
    def handler(event: Event) -> Outcome:
        made.open_breaker(RESERVATION_API)
        raise TransientError("HTTP 503", retry_after=10**9)

    made = rig(handler)
    delivery = made.process()
    assert made.queue.hidden_for(delivery.message.id) == MAX_RETRY_AFTER


def test_a_call_refused_by_the_breaker_is_no_try(rig: MakeRig) -> None:
    made = rig(raising(BreakerOpen("inventory", 3.5)))
    delivery = made.process(times=TRIES)
    assert made.dead == []
    assert made.queue.hidden_for(delivery.message.id) == 4
    assert made.runs() == {("expired", "downstream_error"): 1}


def test_without_evidence_a_message_is_given_back_however_often_it_was_tried(rig: MakeRig) -> None:
    made = rig(raising(TransientError("internal")))
    made.max_receive_count = None
    delays = []
    for times in (TRIES, TRIES + 1, TRIES + 2, TRIES + 3, 40):
        delays.append(made.queue.hidden_for(made.process(times=times).message.id))
    assert delays == [32, 64, 128, 256, 300]
    assert made.dead == []


@pytest.mark.parametrize("age", [59.9, 60.1])
def test_an_answer_to_another_message_is_evidence_for_a_minute(rig: MakeRig, age: float) -> None:
    made = rig(raising(TransientError("internal")))
    made.answer_others()
    made.clock.advance(age)
    made.process(times=TRIES)
    assert made.dead == (["retries_exhausted"] if age < 60 else [])


def test_an_answer_from_before_the_message_began_to_fail_is_no_evidence(rig: MakeRig) -> None:
    made = rig(raising(TransientError("internal")))
    made.answer_others()
    made.clock.advance(40)
    made.run_failing_for(31)
    assert made.dead == []
    made.run_failing_for(41)
    assert made.dead == ["retries_exhausted"]


def test_an_answer_to_the_same_message_is_no_evidence(rig: MakeRig) -> None:
    made = rig(raising(TransientError("internal")))
    delivery = made.received(times=TRIES)
    made.evidence.add(RESERVATION_API, delivery.message.id)
    made.run(delivery)
    assert made.dead == []


def test_a_message_that_has_failed_for_an_hour_needs_no_evidence(rig: MakeRig) -> None:
    made = rig(raising(TransientError("internal")))
    made.run_failing_for(LONGEST_FAILING - 1)
    assert made.dead == []
    made.run_failing_for(LONGEST_FAILING)
    assert made.dead == ["retries_exhausted"]


@pytest.mark.parametrize("messages", [1, 4])
def test_ten_minutes_of_429_put_nothing_into_the_dead_letter_queue(
    rig: MakeRig, messages: int
) -> None:
    made = rig(raising(TransientError("429")))
    made.answer_others()
    made.clock.advance(1)
    elapsed, receives = 0.0, 0
    while elapsed < 600:
        receives += 1
        delays = []
        for _ in range(messages):
            delivery = made.received(times=receives)
            first = made.wall - elapsed
            delivery.message = replace(delivery.message, first_received_at=first)
            made.run(delivery)
            delays.append(made.queue.hidden_for(delivery.message.id))
            # The next try is a message of its own here: only its counts and times matter.
            made.queue.delete([delivery.message.receipt])
        elapsed += delays[0]
        made.clock.advance(delays[0])
    assert made.max_receive_count is not None
    assert receives < made.max_receive_count
    assert made.dead == []


@pytest.mark.parametrize("trouble", ["failure", "breaker", "lease"])
def test_on_its_last_receive_a_message_is_dead_lettered_instead_of_given_back(
    rig: MakeRig, trouble: str
) -> None:
    failure = LeaseTooShort("too short") if trouble == "lease" else TransientError("internal")
    made = rig(raising(failure))
    made.max_receive_count = 3
    if trouble == "breaker":
        made.open_breaker()
    made.process(times=2)
    assert made.dead == []
    made.process(times=3)
    assert made.dead == ["retries_exhausted"]
    error = made.queue.dlq[0].attributes["dlq_error"]["StringValue"]
    assert error.endswith("the queue allows no further try (maxReceiveCount)")


def test_an_answer_for_good_is_dead_lettered_whatever_the_breakers(rig: MakeRig) -> None:
    def handler(event: Event) -> Outcome:
        made.open_breaker()
        return Reject(DeadLetterReason.PERMANENT_ERROR, "no")

    made = rig(handler)
    made.process()
    assert made.dead == ["permanent_error"]


def test_what_is_invalid_needs_no_neighbour(rig: MakeRig) -> None:
    made = rig(lambda event: Ack())
    made.open_breaker()
    made.process("no JSON")
    assert made.dead == ["invalid_payload"]


# Leases.


def test_a_message_whose_lease_ended_while_it_waited_is_not_handled(rig: MakeRig) -> None:
    made = rig(lambda event: Ack())
    delivery = made.received()
    made.clock.advance(VISIBILITY)
    made.run(delivery)
    assert made.handled == []
    assert made.queue.calls("delete") == made.queue.calls("change_visibility") == []
    assert sample(made.metrics, "worker_leases_lost_total") == 1


@pytest.mark.parametrize("times", [1, TRIES])
def test_a_lease_lost_on_the_way_settles_nothing(rig: MakeRig, times: int) -> None:
    made = rig(raising(LeaseLost("over")))
    made.process(times=times)
    assert (made.dead, len(made.queue.left())) == ([], 1)
    assert made.queue.calls("delete") == made.queue.calls("change_visibility") == []
    assert made.events() == {}
    assert made.runs() == {("expired", "retried"): 1}


@pytest.mark.parametrize("outcome", [Retry("down"), Reject(DeadLetterReason.PERMANENT_ERROR, "no")])
def test_what_a_handler_returns_after_the_lease_is_not_settled_as_retry_or_reject(
    rig: MakeRig, outcome: Outcome
) -> None:
    def handler(event: Event) -> Outcome:
        made.clock.advance(VISIBILITY)
        return outcome

    made = rig(handler)
    made.process(times=TRIES)
    assert (made.dead, len(made.queue.left())) == ([], 1)
    assert made.queue.calls("change_visibility") == []


def test_a_success_after_the_lease_is_still_deleted(rig: MakeRig) -> None:
    def handler(event: Event) -> Outcome:
        made.clock.advance(VISIBILITY)
        return Ack()

    made = rig(handler)
    made.process()
    assert made.queue.left() == []


def test_from_the_start_of_its_handling_a_message_has_four_call_timeouts(rig: MakeRig) -> None:
    made = rig(lambda event: Ack())
    delivery = made.received()
    made.clock.advance(20)
    made.run(delivery)
    assert DEADLINE_CALLS == 4
    assert delivery.lease.renew_until == made.clock() + 4 * TIMEOUT


# Copies.


def test_a_copy_of_a_settled_message_whose_delete_failed_is_only_deleted(rig: MakeRig) -> None:
    made = rig(lambda event: Ack())
    made.queue.fail_entries("delete", sender_fault=True)
    first = made.process()
    assert made.queue.left() == [first.message.id]
    made.clock.advance(VISIBILITY)
    [message] = made.queue.receive(1, 0)
    made.run(made.take(message))
    assert made.queue.left() == []
    assert len(made.handled) == 1
    assert made.events() == {"success": 1}
    assert sample(made.metrics, "worker_copies_deleted_total") == 1
    assert not made.memory.knows(message.id)


def test_a_copy_of_a_dead_letter_whose_delete_failed_is_only_deleted(rig: MakeRig) -> None:
    made = rig(lambda event: Ack())
    made.queue.fail_entries("delete", sender_fault=True)
    made.process("no JSON")
    made.clock.advance(VISIBILITY)
    [message] = made.queue.receive(1, 0)
    made.run(made.take(message))
    assert (made.queue.left(), made.dead) == ([], ["invalid_payload"])


def test_a_copy_is_deleted_although_a_breaker_is_open(rig: MakeRig) -> None:
    made = rig(lambda event: Ack())
    delivery = made.received()
    made.memory.remember(delivery.message.id)
    made.open_breaker()
    made.run(delivery)
    assert made.queue.left() == []


# The trace id in the log.


def test_the_log_line_has_the_trace_id_from_outside(rig: MakeRig) -> None:
    lines: list[dict[str, Any]] = []
    sink = logger.add(lambda line: lines.append(line.record["extra"]), level="DEBUG")
    made = rig(lambda event: Ack())
    given = {"DataType": "String", "StringValue": "trace_abc"}
    made.process(attributes={"TraceId": given})
    logger.remove(sink)
    [line] = [line for line in lines if "outcome" in line]
    assert line["trace_id"] == "trace_abc"


def test_a_lease_too_short_for_a_call_is_no_try(rig: MakeRig) -> None:
    made = rig(raising(LeaseTooShort("too short")))
    delivery = made.process(times=TRIES + 3)
    assert made.dead == []
    assert made.queue.hidden_for(delivery.message.id) == 1
    assert sample(made.metrics, "worker_retries_total", reason="lease") == 1


def test_a_settlement_that_our_own_bug_ends_is_not_taken_for_one(rig: MakeRig) -> None:
    made = rig(lambda event: Retry("down"))
    delivery = made.received()
    made.queue.during("change_visibility", explode)
    made.processor.process(delivery)
    assert made.custody.open() == 1
    made.clock.advance(VISIBILITY * 0.9)
    made.leases.tick()
    assert made.queue.left() == [delivery.message.id]


def explode() -> None:
    raise RuntimeError("a bug")


def test_a_message_without_a_handler_is_logged_with_its_trace_too(rig: MakeRig) -> None:
    lines: list[dict[str, Any]] = []
    sink = logger.add(lambda line: lines.append(line.record["extra"]))
    made = rig(lambda event: Ack())
    body = event_body("Payment Status Updated", status="PAYMENT_STATUS_PENDING", trace_id="ab" * 16)
    made.process(body)
    assert lines[-1]["trace_id"] == "ab" * 16
    made.process("no JSON")
    assert len(lines[-1]["trace_id"]) == 32
    logger.remove(sink)
