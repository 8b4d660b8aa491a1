"""An outcome becomes what SQS is told, one count and one log line; and nothing after the lease."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger

from reservation_worker.errors import SqsError
from reservation_worker.outcome import Ack, DeadLetterReason, Outcome, Reject, Retry, Settled
from reservation_worker.pipeline.completer import Completer
from reservation_worker.pipeline.custody import Custody, Ending
from reservation_worker.pipeline.deleter import Deleter
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.leases import Leases
from reservation_worker.pipeline.memory import SettledMemory
from reservation_worker.sqs.batches import BatchFailure
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

VISIBILITY = 30
CALL = 10.0
PERMANENT = Reject(DeadLetterReason.PERMANENT_ERROR, "no seats")
STATUS_PENDING = event_body(
    "Payment Status Updated", status="PAYMENT_STATUS_PENDING", event_type="payment.status_updated"
)


class Rig:
    def __init__(self, has_dlq: bool = True) -> None:
        self.clock = FakeClock()
        self.queue = FakeQueue(self.clock, VISIBILITY, has_dlq=has_dlq)
        self.metrics = new_metrics()
        self.memory = SettledMemory()
        self.leases = Leases(self.queue, VISIBILITY, self.clock, self.metrics)
        self.custody = Custody(self.clock)
        self.deleter = Deleter(
            self.queue,
            self.custody,
            self.memory,
            self.metrics,
            lambda delivery: self.leases.held(delivery.lease),
            linger=0.001,
        )
        self.deleter.start()
        self.told: list[Settled] = []
        self.max_receive_count: int | None = None
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
            wall_clock=lambda: 1_767_323_045.0,
            watchers=(self.told.append,),
        )

    def received(self, *bodies: str, times: int = 1, **parts: Any) -> list[Delivery]:
        """Deliveries of new messages, each received for the `times`-th time."""
        ids = {self.queue.send(body, **parts) for body in bodies or (event_body(),)}
        for _ in range(times - 1):
            self.queue.change_visibility([one.receipt for one in self._receive(ids)], 0)
        messages = self._receive(ids)
        self.queue._calls.clear()
        deliveries = [opened(one, self.clock(), self.leases.open) for one in messages]
        self.custody.take(deliveries)
        return deliveries

    def _receive(self, ids: set[str]) -> list[Any]:
        found = []
        while len(found) < len(ids):
            found += self.queue.receive(10, 0)
        return found

    def settle(self, outcome: Outcome, body: str | None = None, times: int = 1) -> Delivery:
        """Settle a message; acknowledged ones are deleted when this returns."""
        [delivery] = self.received(body or event_body(), times=times)
        self.completer.complete(delivery, outcome)
        if not isinstance(outcome, Retry):
            self.flush()
        return delivery

    def flush(self) -> None:
        """Wait until everything that was settled is deleted."""
        eventually(lambda: not self.custody.open())

    def hidden_for(self, outcome: Outcome, times: int = 1) -> float:
        return self.queue.hidden_for(self.settle(outcome, times=times).message.id)

    def count(self, name: str, **labels: str) -> float:
        return sample(self.metrics, name, **labels)

    def events(self, kind: str = "expired") -> dict[str, float]:
        """The outcomes counted so far."""
        outcomes = ("success", "dropped", "retried", "failed", "invalid_payload")
        found = {one: self.count("worker_events_total", type=kind, outcome=one) for one in outcomes}
        return {outcome: value for outcome, value in found.items() if value}


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.deleter.stop(PATIENCE)


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []

    def sink(message: Any) -> None:
        record = message.record
        line = {"level": record["level"].name, "msg": record["message"]}
        found.append(line | record["extra"])

    number = logger.add(sink, level="DEBUG")
    yield found
    logger.remove(number)


# Acknowledged.


def test_what_is_acknowledged_is_deleted(rig: Rig) -> None:
    rig.settle(Ack())
    assert rig.queue.left() == []
    assert rig.events() == {"success": 1}


def test_what_is_understood_and_needs_nothing_is_deleted_and_counted_apart(rig: Rig) -> None:
    rig.settle(Ack("nothing to do", dropped=True), STATUS_PENDING)
    assert rig.queue.left() == []
    assert rig.events("unknown") == {"dropped": 1}


def test_the_latency_runs_from_the_receives_return(rig: Rig) -> None:
    [delivery] = rig.received()
    rig.clock.advance(7)
    rig.completer.complete(delivery, Ack())
    assert rig.count("worker_latency_seconds_sum", type="expired") == 7
    assert rig.count("worker_latency_seconds_count", type="expired") == 1


def test_the_delete_of_a_known_outcome_is_tried_even_after_the_lease(rig: Rig) -> None:
    [delivery] = rig.received()
    rig.clock.advance(VISIBILITY)
    rig.completer.complete(delivery, Ack())
    eventually(lambda: not rig.queue.left())
    assert rig.queue.left() == []
    assert rig.events() == {"success": 1}
    # SQS may have handed out a copy meanwhile: it is only deleted when it comes.
    assert rig.memory.knows(delivery.message.id)


def test_a_copy_of_a_settled_message_is_only_deleted(rig: Rig) -> None:
    [delivery] = rig.received()
    rig.completer.delete_copy(delivery)
    rig.flush()
    assert rig.queue.left() == []
    assert rig.events() == {}
    assert rig.count("worker_copies_deleted_total") == 1


# Tried again.


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 16), (40, 16)]
)
def test_a_failed_try_comes_back_after_a_delay_that_doubles(
    rig: Rig, attempt: int, seconds: int
) -> None:
    assert rig.hidden_for(Retry("down"), times=attempt) == seconds
    assert rig.events() == {"retried": 1}
    assert rig.count("worker_retries_total", reason="neighbour") == 1


def test_the_wait_that_a_neighbour_asks_for_wins_where_it_is_longer(rig: Rig) -> None:
    assert rig.hidden_for(Retry("slow down", at_least=77.5)) == 78
    assert rig.hidden_for(Retry("slow down", at_least=0.5)) == 1
    assert rig.hidden_for(Retry("slow down", at_least=5_000)) == 900


@pytest.mark.parametrize(("rest", "seconds"), [(0.0, 1), (3.2, 4), (29.9, 30)])
def test_while_a_breaker_is_open_a_message_waits_for_the_rest_of_its_time(
    rig: Rig, rest: float, seconds: int
) -> None:
    assert rig.hidden_for(Retry("open", rest, "breaker"), times=5) == seconds
    assert rig.count("worker_retries_total", reason="breaker") == 1


def test_a_give_back_that_sqs_refuses_is_left_to_the_visibility_timeout(rig: Rig) -> None:
    rig.queue.fail("change_visibility")
    assert rig.hidden_for(Retry("down")) == VISIBILITY
    rig.queue.fail_entries("change_visibility")
    assert rig.hidden_for(Retry("down")) == VISIBILITY
    assert rig.events() == {"retried": 2}


# Dead-lettered.


def test_a_reject_sends_the_dead_letter_before_it_deletes(rig: Rig) -> None:
    kept = {"TraceId": {"DataType": "String", "StringValue": "abc"}}
    [delivery] = rig.received("body", attributes=kept, trace="Root=1")
    sent_while_there: list[list[str]] = []
    rig.queue.during("dead_letter", lambda: sent_while_there.append(rig.queue.left()))
    rig.completer.complete(delivery, PERMANENT)
    rig.flush()
    assert sent_while_there == [[delivery.message.id]]
    assert rig.queue.left() == []
    [letter] = rig.queue.dlq
    assert (letter.body, letter.trace) == ("body", "Root=1")
    assert letter.attributes["TraceId"] == kept["TraceId"]
    assert letter.attributes["dlq_reason"]["StringValue"] == "permanent_error"
    assert letter.attributes["dlq_time"]["StringValue"] == "2026-01-02T03:04:05.000+00:00"


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("invalid_payload", "invalid_payload"),
        ("permanent_error", "failed"),
        ("retries_exhausted", "failed"),
        ("compensation_required", "failed"),
    ],
)
def test_a_dead_letter_is_counted_by_its_reason(rig: Rig, reason: str, outcome: str) -> None:
    rig.settle(Reject(DeadLetterReason(reason), "why"))
    assert rig.events() == {outcome: 1}
    assert rig.count("worker_dead_lettered_total", reason=reason) == 1


def test_an_empty_body_can_be_dead_lettered_too(rig: Rig) -> None:
    rig.settle(Reject(DeadLetterReason.INVALID_PAYLOAD, "the body is empty"), body=" ")
    [delivery] = rig.received("")
    rig.completer.complete(delivery, Reject(DeadLetterReason.INVALID_PAYLOAD, "the body is empty"))
    assert [letter.body for letter in rig.queue.dlq] == [" ", " "]


@pytest.mark.parametrize("why", ["no dead-letter queue", "the send fails"])
def test_a_dead_letter_that_cannot_be_sent_is_not_deleted_but_hidden_and_counted(
    why: str, lines: list[dict[str, Any]]
) -> None:
    rig = Rig(has_dlq=why != "no dead-letter queue")
    if why == "the send fails":
        rig.queue.fail("dead_letter")
    delivery = rig.settle(PERMANENT)
    assert rig.queue.dlq == []
    assert rig.queue.calls("delete") == []
    assert rig.queue.hidden_for(delivery.message.id) == 900
    assert rig.count("worker_dead_letter_failures_total") == 1
    assert rig.count("worker_dead_lettered_total", reason="permanent_error") == 0
    assert rig.events() == {"retried": 1}
    assert [line["message_id"] for line in lines if line["level"] == "ERROR"] == ["m1"]
    rig.deleter.stop(PATIENCE)


def test_a_dead_letter_whose_send_outlasts_the_lease_is_not_hidden_from_its_new_holder(
    rig: Rig,
) -> None:
    def fail_late(receipts: object) -> dict[int, BatchFailure]:
        rig.clock.advance(VISIBILITY)
        raise SqsError("ReadTimeoutError", "scripted")

    rig.queue.script("dead_letter", fail_late)
    [delivery] = rig.received()
    rig.completer.complete(delivery, PERMANENT)
    assert rig.queue.dlq == []
    assert rig.queue.calls("change_visibility") == []


# After the lease.


@pytest.mark.parametrize("outcome", [Retry("down"), PERMANENT])
def test_after_the_lease_nothing_is_settled_as_retry_or_reject(rig: Rig, outcome: Outcome) -> None:
    [delivery] = rig.received()
    rig.clock.advance(VISIBILITY)
    rig.completer.complete(delivery, outcome)
    rig.flush()
    assert (rig.queue.left(), rig.queue.dlq) == ([delivery.message.id], [])
    assert rig.queue.calls("change_visibility") == rig.queue.calls("delete") == []
    assert rig.events() == {}
    assert rig.count("worker_leases_lost_total") == 1


def test_a_lease_that_ends_while_its_renewal_hangs_is_not_settled_as_retry(rig: Rig) -> None:
    [delivery] = rig.received()
    rig.clock.advance(VISIBILITY - 1)
    renewal = rig.queue.hold("change_visibility")
    ticking = threading.Thread(target=rig.leases.tick, daemon=True)
    ticking.start()
    renewal.wait_entered()
    settling = threading.Thread(
        target=rig.completer.complete, args=(delivery, Retry("down")), daemon=True
    )
    settling.start()
    eventually(lambda: rig.leases.count == 0)
    rig.clock.advance(1)
    renewal.release()
    for thread in (ticking, settling):
        thread.join(PATIENCE)
    assert len(rig.queue.calls("change_visibility")) == 1
    assert rig.events() == {}
    assert rig.count("worker_leases_lost_total") == 1


@pytest.mark.parametrize("outcome", [Ack(), Retry("down"), PERMANENT])
def test_nothing_renews_a_settled_message(rig: Rig, outcome: Outcome) -> None:
    delivery = rig.settle(outcome)
    before = len(rig.queue.calls("change_visibility"))
    rig.clock.advance(VISIBILITY * 0.9)
    rig.leases.tick()
    assert len(rig.queue.calls("change_visibility")) == before
    assert not rig.custody.claim(delivery)


def test_a_lost_message_is_counted_once(rig: Rig) -> None:
    [delivery] = rig.received()
    rig.completer.lease_lost(delivery)
    rig.completer.lease_lost(delivery)
    assert rig.count("worker_leases_lost_total") == 1


# Given back by the stop.


def test_the_stop_gives_back_what_waits_at_once_in_batches_of_ten(rig: Rig) -> None:
    deliveries = rig.received(*[event_body()] * 25)
    rig.completer.give_back(deliveries)
    calls = rig.queue.calls("change_visibility")
    assert [(len(receipts), seconds) for receipts, seconds in calls] == [(10, 0), (10, 0), (5, 0)]
    assert rig.count("worker_given_back_total") == 25
    assert rig.custody.open() == 0
    assert rig.events() == {}


def test_what_is_in_a_call_comes_back_when_that_call_must_be_over(rig: Rig) -> None:
    waiting, calling = rig.received(event_body(), event_body())
    rig.leases.begin_call(calling.lease, CALL)
    rig.clock.advance(2.5)
    rig.completer.give_back([waiting, calling])
    assert rig.queue.hidden_for(waiting.message.id) == 0
    assert rig.queue.hidden_for(calling.message.id) == 8
    assert not rig.leases.held(calling.lease)


@pytest.mark.parametrize("outcome", [Retry("down"), PERMANENT])
def test_what_was_given_back_is_not_settled_again(rig: Rig, outcome: Outcome) -> None:
    [delivery] = rig.received()
    rig.completer.give_back([delivery])
    rig.completer.complete(delivery, outcome)
    assert len(rig.queue.calls("change_visibility")) == 1
    assert (rig.queue.dlq, rig.events()) == ([], {})
    assert rig.count("worker_leases_lost_total") == 0


def test_what_was_given_back_is_still_deleted_when_it_turns_out_settled(rig: Rig) -> None:
    [delivery] = rig.received()
    rig.completer.give_back([delivery])
    rig.completer.complete(delivery, Ack())
    eventually(lambda: not rig.queue.left())
    assert rig.queue.left() == []
    assert rig.memory.knows(delivery.message.id)


@pytest.mark.parametrize("outcome", [Ack(), Retry("down"), PERMANENT])
def test_what_is_settled_is_not_given_back(rig: Rig, outcome: Outcome) -> None:
    delivery = rig.settle(outcome)
    before = len(rig.queue.calls("change_visibility"))
    rig.completer.give_back([delivery])
    assert len(rig.queue.calls("change_visibility")) == before
    assert rig.custody.open() == 0


def test_what_is_somebody_elses_by_now_is_not_given_back(rig: Rig) -> None:
    [delivery] = rig.received()
    rig.clock.advance(VISIBILITY)
    rig.queue.receive(10, 0)
    rig.completer.give_back([delivery])
    assert rig.queue.hidden_for(delivery.message.id) == VISIBILITY
    assert rig.count("worker_leases_lost_total") == 1


def test_a_delivery_whose_lease_is_over_is_lost_at_once_and_never_counts_as_open(
    rig: Rig,
) -> None:
    [delivery] = rig.received()
    rig.clock.advance(VISIBILITY - 1)
    renewal = rig.queue.hold("change_visibility")
    renewing = threading.Thread(target=rig.leases.tick, daemon=True)
    renewing.start()
    renewal.wait_entered()
    rig.clock.advance(1)
    giving = threading.Thread(target=rig.completer.give_back, args=([delivery],), daemon=True)
    giving.start()
    giving.join(PATIENCE / 10)
    still_open = rig.custody.open()
    renewal.release()
    renewing.join(PATIENCE)
    assert still_open == 0
    assert rig.count("worker_leases_lost_total") == 1


@pytest.mark.parametrize(("how", "missing"), [("call", 3), ("entries", 1)])
def test_what_cannot_be_given_back_is_counted(rig: Rig, how: str, missing: int) -> None:
    if how == "call":
        rig.queue.fail("change_visibility")
    else:
        rig.queue.fail_entries("change_visibility", positions=[1])
    deliveries = rig.received(*[event_body()] * 3)
    rig.completer.give_back(deliveries)
    assert rig.custody.open() == missing
    assert rig.count("worker_given_back_total") == 3 - missing


def test_what_is_still_being_given_back_counts_as_not_given_back(rig: Rig) -> None:
    deliveries = rig.received(*[event_body()] * 12)
    call = rig.queue.hold("change_visibility")
    giving = threading.Thread(target=rig.completer.give_back, args=(deliveries,), daemon=True)
    giving.start()
    call.wait_entered()
    assert rig.custody.open() == 12
    call.release()
    giving.join(PATIENCE)
    assert rig.custody.open() == 0


def test_the_stop_dead_letters_what_sqs_would_not_deliver_again(rig: Rig) -> None:
    rig.max_receive_count = 3
    again, last = *rig.received(times=2), *rig.received(times=3)
    rig.completer.give_back([again, last])
    eventually(lambda: not rig.custody.open())
    assert rig.queue.left() == [again.message.id]
    [letter] = rig.queue.dlq
    assert letter.attributes["dlq_reason"]["StringValue"] == "retries_exhausted"
    assert "maxReceiveCount" in letter.attributes["dlq_error"]["StringValue"]


# The log line.


def told(lines: list[dict[str, Any]]) -> dict[str, Any]:
    [line] = [line for line in lines if "outcome" in line]
    return line


def test_one_line_tells_what_became_of_a_message(rig: Rig, lines: list[dict[str, Any]]) -> None:
    [delivery] = rig.received(event_body("payment.approved", "rsv_7"), times=2)
    rig.clock.advance(0.25)
    rig.completer.complete(delivery, Ack(order_id="ord_1"), trace_id="abc")
    line = told(lines)
    assert {
        "level": "INFO",
        "msg": "settled",
        "event_type": "payment.approved",
        "reservation_id": "rsv_7",
        "event_id": "evt_1",
        "trace_id": "abc",
        "duration_ms": 250,
        "outcome": "success",
        "attempt": 2,
        "order_id": "ord_1",
    }.items() <= line.items()


def test_what_was_odd_is_a_warning(rig: Rig, lines: list[dict[str, Any]]) -> None:
    rig.settle(Ack(warning="state None"), event_body(qty=3))
    line = told(lines)
    assert line["level"] == "WARNING"
    assert len(line["warnings"]) == 2


@pytest.mark.parametrize(
    ("outcome", "level", "error"),
    [(Retry("down"), "WARNING", "down"), (PERMANENT, "ERROR", "no seats")],
)
def test_a_failure_says_why(
    rig: Rig, lines: list[dict[str, Any]], outcome: Outcome, level: str, error: str
) -> None:
    rig.settle(outcome)
    line = told(lines)
    assert (line["level"], line["error"]) == (level, error)


def test_a_body_that_is_no_event_has_a_line_too(rig: Rig, lines: list[dict[str, Any]]) -> None:
    rig.settle(Reject(DeadLetterReason.INVALID_PAYLOAD, "not JSON"), "{")
    line = told(lines)
    assert (line["event_type"], line["outcome"]) == ("unknown", "invalid_payload")
    assert line["dlq_reason"] == "invalid_payload"


def test_a_delivery_that_waits_for_its_renewal_to_end_counts_as_open_meanwhile(rig: Rig) -> None:
    deliveries = rig.received(*[event_body()] * 3)
    rig.clock.advance(VISIBILITY * 0.7)
    call = rig.queue.hold("change_visibility")
    renewing = threading.Thread(target=rig.leases.tick, daemon=True)
    renewing.start()
    call.wait_entered()
    giving = threading.Thread(target=rig.completer.give_back, args=(deliveries,), daemon=True)
    giving.start()
    eventually(lambda: rig.custody.open() == 3)
    call.release()
    giving.join(PATIENCE)
    renewing.join(PATIENCE)
    assert rig.custody.open() == 0


def test_a_watcher_is_told_what_became_of_a_delivery(rig: Rig) -> None:
    rig.settle(Ack())
    rig.settle(Retry("no answer"))
    rig.settle(PERMANENT)
    assert [(one.counted, one.reason, one.error) for one in rig.told] == [
        ("success", None, None),
        ("retried", "neighbour", "no answer"),
        ("failed", "permanent_error", "no seats"),
    ]
    first = rig.told[0]
    assert (first.label, first.event_type) == ("expired", "reservation.expired")
    assert (first.reservation_id, first.event_id) == ("rsv_1", "evt_1")
    assert (first.attempt, first.at) == (1, 1_767_323_045.0)


def test_a_lost_delivery_is_told_to_nobody(rig: Rig) -> None:
    [delivery] = rig.received()
    rig.clock.advance(VISIBILITY + 1)
    rig.completer.complete(delivery, Retry("too late"))
    assert rig.told == []


def test_a_watcher_that_raises_does_not_touch_the_settlement(
    rig: Rig, lines: list[dict[str, Any]]
) -> None:
    def broken(settled: Settled) -> None:
        raise RuntimeError("a bug")

    rig.completer._watchers = (broken, rig.told.append)
    rig.settle(Retry("down"))
    rig.settle(Ack())
    assert rig.events() == {"retried": 1, "success": 1}
    assert [one.counted for one in rig.told] == ["retried", "success"]
    assert rig.custody.endings == {Ending.GIVEN_BACK: 1, Ending.DELETED: 1}
    assert [line["level"] for line in lines].count("ERROR") == 2


def test_a_copy_that_comes_while_the_delete_is_under_way_is_known(rig: Rig) -> None:
    [delivery] = rig.received()
    call = rig.queue.hold("delete")
    rig.completer.complete(delivery, Ack())
    call.wait_entered()
    assert rig.memory.knows(delivery.message.id)
    call.release()
    rig.flush()
    assert not rig.memory.knows(delivery.message.id)


# One book: the exit code of a stop asks whether anything is left open.


def test_a_deleted_message_is_not_left_open_by_a_give_back_that_finds_it_gone(rig: Rig) -> None:
    [delivery] = rig.received()
    call = rig.queue.hold("change_visibility")
    giving = threading.Thread(target=rig.completer.give_back, args=([delivery],), daemon=True)
    giving.start()
    call.wait_entered()
    rig.completer.complete(delivery, Ack())
    rig.flush()
    call.release()
    giving.join(PATIENCE)
    assert rig.custody.open() == 0
    assert rig.custody.endings == {Ending.DELETED: 1}
    assert rig.count("worker_given_back_total") == 0


def test_a_message_that_was_given_back_is_not_left_open_by_a_late_acknowledgement(
    rig: Rig,
) -> None:
    [delivery] = rig.received()
    rig.completer.give_back([delivery])
    rig.deleter.stop(PATIENCE)
    rig.completer.complete(delivery, Ack())
    assert rig.custody.open() == 0
    assert rig.custody.endings == {Ending.GIVEN_BACK: 1}


@pytest.mark.parametrize("how", ["call", "entries"])
def test_a_retry_that_sqs_refuses_is_left_open_until_its_lease_ends(rig: Rig, how: str) -> None:
    [delivery] = rig.received()
    if how == "call":
        rig.queue.fail("change_visibility")
    else:
        rig.queue.fail_entries("change_visibility")
    rig.completer.complete(delivery, Retry("down"))
    assert rig.custody.open() == 1
    rig.clock.advance(VISIBILITY)
    assert rig.custody.open() == 0
