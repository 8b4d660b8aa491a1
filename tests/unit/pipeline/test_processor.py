"""One delivery on its pool thread: its handler runs at most once, and only under its lease."""

from typing import Any

import pytest

from reservation_worker.errors import LeaseLost
from reservation_worker.events.parse import Event
from reservation_worker.outcome import Ack, DeadLetterReason, Outcome, Reject, Retry
from reservation_worker.pipeline import delivery as delivery_module
from reservation_worker.pipeline.processor import DEADLINE_CALLS
from tests.fake_queue import event_body
from tests.unit.pipeline.rig import CALL, TRIES, MakeRig, raising

# From content to outcome.


@pytest.mark.parametrize(
    ("event_type", "kind", "span"),
    [
        ("reservation.expired", "expired", "handle_reservation_expired"),
        ("payment.approved", "approved", "handle_payment_approved"),
        ("payment.failed", "failed", "handle_payment_failed"),
    ],
)
def test_an_event_is_handled_once_measured_and_completed(
    make: MakeRig, event_type: str, kind: str, span: str
) -> None:
    made = make(lambda event: Ack())
    made.process(event_body(event_type, "rsv_7"))
    assert [(one.kind.label, one.reservation_id) for one in made.handled] == [(kind, "rsv_7")]
    assert made.queue.left() == []
    assert made.events(kind) == {"success": 1}
    assert made.runs() == {(kind, "success"): 1}
    assert [one.name for one in made.spans.get_finished_spans()] == [span]


def test_an_invalid_body_is_dead_lettered_at_once_without_a_handler(make: MakeRig) -> None:
    made = make(lambda event: Ack())
    made.process("no JSON")
    assert (made.handled, made.dead, made.queue.left()) == ([], ["invalid_payload"], [])
    assert made.events("unknown") == {"invalid_payload": 1}
    assert made.runs() == {}


def test_an_event_with_nothing_to_do_is_dropped(make: MakeRig) -> None:
    made = make(lambda event: Ack())
    detail = {"event_type": "payment.status_updated", "status": "PAYMENT_STATUS_PENDING"}
    made.process(event_body("Payment Status Updated", **detail))
    assert (made.handled, made.dead, made.queue.left()) == ([], [], [])
    assert made.events("unknown") == {"dropped": 1}


def test_a_bug_in_the_parser_counts_as_a_try(
    make: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(*args: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(delivery_module, "parse", parse)
    made = make(lambda event: Ack())
    delivery = made.process()
    assert made.queue.hidden_for(delivery.message.id) == 1
    assert made.dead == []
    made.answer_others()
    made.process(times=TRIES)
    assert made.dead == ["retries_exhausted"]


def test_a_reject_is_dead_lettered(make: MakeRig) -> None:
    made = make(lambda event: Reject(DeadLetterReason.COMPENSATION_REQUIRED, "seats gone"))
    made.process(event_body("payment.approved"))
    assert (made.dead, made.queue.left()) == (["compensation_required"], [])
    assert made.events("approved") == {"failed": 1}
    assert made.runs() == {("approved", "failed"): 1}


# Leases.


def test_a_message_whose_lease_ended_while_it_waited_is_not_handled(make: MakeRig) -> None:
    made = make(lambda event: Ack())
    delivery = made.received()[0]
    made.clock.advance(made.visibility)
    made.run(delivery)
    assert made.handled == []
    assert made.queue.calls("delete") == made.queue.calls("change_visibility") == []
    assert made.count("worker_leases_lost_total") == 1


@pytest.mark.parametrize("times", [1, TRIES])
def test_a_message_whose_lease_is_lost_on_the_way_is_not_completed(
    make: MakeRig, times: int
) -> None:
    made = make(raising(LeaseLost("over")))
    made.process(times=times)
    assert (made.dead, len(made.queue.left())) == ([], 1)
    assert made.queue.calls("delete") == made.queue.calls("change_visibility") == []
    assert made.events() == {}
    assert made.runs() == {("expired", "retried"): 1}


@pytest.mark.parametrize("outcome", [Retry("down"), Reject(DeadLetterReason.PERMANENT_ERROR, "no")])
def test_a_retry_or_reject_that_comes_after_the_lease_is_not_carried_out(
    make: MakeRig, outcome: Outcome
) -> None:
    def handler(event: Event) -> Outcome:
        made.clock.advance(made.visibility)
        return outcome

    made = make(handler)
    made.process(times=TRIES)
    assert (made.dead, len(made.queue.left())) == ([], 1)
    assert made.queue.calls("change_visibility") == []


def test_a_success_after_the_lease_is_still_deleted(make: MakeRig) -> None:
    def handler(event: Event) -> Outcome:
        made.clock.advance(made.visibility)
        return Ack()

    made = make(handler)
    made.process()
    assert made.queue.left() == []


def test_from_the_start_of_its_handling_a_message_has_four_call_timeouts(make: MakeRig) -> None:
    made = make(lambda event: Ack())
    delivery = made.received()[0]
    made.clock.advance(20)
    made.run(delivery)
    assert DEADLINE_CALLS == 4
    assert delivery.lease.renew_until == made.clock() + 4 * CALL


# Copies.


def test_a_copy_of_a_settled_message_whose_delete_failed_is_only_deleted(make: MakeRig) -> None:
    made = make(lambda event: Ack())
    made.queue.fail_entries("delete", sender_fault=True)
    first = made.process()
    assert made.queue.left() == [first.message.id]
    made.clock.advance(made.visibility)
    [message] = made.queue.receive(1, 0)
    made.run(made.take(message))
    assert made.queue.left() == []
    assert len(made.handled) == 1
    assert made.events() == {"success": 1}
    assert made.count("worker_copies_deleted_total") == 1
    assert not made.memory.knows(message.id)


def test_a_copy_of_a_dead_letter_whose_delete_failed_is_only_deleted(make: MakeRig) -> None:
    made = make(lambda event: Ack())
    made.queue.fail_entries("delete", sender_fault=True)
    made.process("no JSON")
    made.clock.advance(made.visibility)
    [message] = made.queue.receive(1, 0)
    made.run(made.take(message))
    assert (made.queue.left(), made.dead) == ([], ["invalid_payload"])


def test_a_copy_is_deleted_although_a_breaker_is_open(make: MakeRig) -> None:
    made = make(lambda event: Ack())
    delivery = made.received()[0]
    made.memory.remember(delivery.message.id)
    made.open_breaker()
    made.run(delivery)
    assert made.queue.left() == []


# The trace id in the log.


def test_the_log_line_has_the_trace_id_from_outside(
    make: MakeRig, lines: list[dict[str, Any]]
) -> None:
    made = make(lambda event: Ack())
    given = {"DataType": "String", "StringValue": "trace_abc"}
    made.process(attributes={"TraceId": given})
    [line] = [line for line in lines if "outcome" in line]
    assert line["trace_id"] == "trace_abc"


def test_a_message_without_a_handler_is_logged_with_its_trace_too(
    make: MakeRig, lines: list[dict[str, Any]]
) -> None:
    made = make(lambda event: Ack())
    body = event_body("Payment Status Updated", status="PAYMENT_STATUS_PENDING", trace_id="ab" * 16)
    made.process(body)
    assert lines[-1]["trace_id"] == "ab" * 16
    made.process("no JSON")
    assert len(lines[-1]["trace_id"]) == 32


# Bugs.


def test_a_completion_that_our_own_bug_ends_leaves_the_message_open(make: MakeRig) -> None:
    made = make(lambda event: Retry("down"))
    delivery = made.received()[0]
    made.queue.during("change_visibility", explode)
    made.processor.process(delivery)
    assert made.custody.open() == 1
    made.clock.advance(made.visibility * 0.9)
    made.leases.tick()
    assert made.queue.left() == [delivery.message.id]


def explode() -> None:
    raise RuntimeError("a bug")
