"""Each outcome is carried out once: a delete, a give-back or a dead letter."""

from typing import Any

import pytest

from reservation_worker.errors import SqsError
from reservation_worker.outcome import Ack, DeadLetterReason, Outcome, Reject, Retry
from reservation_worker.sqs.batches import BatchFailure
from tests.fake_queue import PATIENCE, event_body, eventually
from tests.unit.pipeline.lease_rig import in_thread
from tests.unit.pipeline.rig import PERMANENT, CompleterRig

STATUS_PENDING = event_body(
    "Payment Status Updated", status="PAYMENT_STATUS_PENDING", event_type="payment.status_updated"
)


# Acknowledged.


def test_an_acknowledged_message_is_deleted(rig: CompleterRig) -> None:
    rig.complete(Ack())
    assert rig.queue.left() == []
    assert rig.events() == {"success": 1}


def test_a_dropped_message_is_deleted_and_counted_apart(rig: CompleterRig) -> None:
    rig.complete(Ack("nothing to do", dropped=True), STATUS_PENDING)
    assert rig.queue.left() == []
    assert rig.events("unknown") == {"dropped": 1}


def test_the_latency_runs_from_the_receives_return(rig: CompleterRig) -> None:
    [delivery] = rig.received()
    rig.clock.advance(7)
    rig.completer.complete(delivery, Ack())
    assert rig.count("worker_latency_seconds_sum", type="expired") == 7
    assert rig.count("worker_latency_seconds_count", type="expired") == 1


def test_the_delete_of_a_known_outcome_is_tried_even_after_the_lease(rig: CompleterRig) -> None:
    [delivery] = rig.received()
    rig.clock.advance(rig.visibility)
    rig.completer.complete(delivery, Ack())
    eventually(lambda: not rig.queue.left())
    assert rig.queue.left() == []
    assert rig.events() == {"success": 1}
    # SQS may have handed out a copy meanwhile: it is only deleted when it comes.
    assert rig.memory.knows(delivery.message.id)


def test_a_copy_of_a_settled_message_is_only_deleted(rig: CompleterRig) -> None:
    [delivery] = rig.received()
    assert not rig.completer.delete_copy(delivery)
    rig.memory.remember(delivery.message.id)
    assert rig.completer.delete_copy(delivery)
    rig.flush()
    assert rig.queue.left() == []
    assert rig.events() == {}
    assert rig.count("worker_copies_deleted_total") == 1


def test_a_copy_that_comes_while_the_delete_is_under_way_is_recognised(rig: CompleterRig) -> None:
    [delivery] = rig.received()
    call = rig.queue.hold("delete")
    rig.completer.complete(delivery, Ack())
    call.wait_entered()
    assert rig.memory.knows(delivery.message.id)
    call.release()
    rig.flush()
    assert not rig.memory.knows(delivery.message.id)


# Tried again.


@pytest.mark.parametrize(
    ("attempt", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 16), (40, 16)]
)
def test_a_failed_try_comes_back_after_a_delay_that_doubles(
    rig: CompleterRig, attempt: int, seconds: int
) -> None:
    assert rig.hidden_for(Retry("down"), times=attempt) == seconds
    assert rig.events() == {"retried": 1}
    assert rig.count("worker_retries_total", reason="neighbour") == 1


def test_the_wait_that_a_neighbour_asks_for_wins_where_it_is_longer(rig: CompleterRig) -> None:
    assert rig.hidden_for(Retry("slow down", at_least=77.5)) == 78
    assert rig.hidden_for(Retry("slow down", at_least=0.5)) == 1
    assert rig.hidden_for(Retry("slow down", at_least=5_000)) == 900


@pytest.mark.parametrize(("rest", "seconds"), [(0.0, 1), (3.2, 4), (29.9, 30)])
def test_while_a_breaker_is_open_a_message_waits_for_the_rest_of_its_time(
    rig: CompleterRig, rest: float, seconds: int
) -> None:
    assert rig.hidden_for(Retry("open", rest, "breaker"), times=5) == seconds
    assert rig.count("worker_retries_total", reason="breaker") == 1


def test_a_give_back_that_sqs_refuses_is_left_to_the_visibility_timeout(rig: CompleterRig) -> None:
    rig.queue.fail("change_visibility")
    assert rig.hidden_for(Retry("down")) == rig.visibility
    rig.queue.fail_entries("change_visibility")
    assert rig.hidden_for(Retry("down")) == rig.visibility
    assert rig.events() == {"retried": 2}


@pytest.mark.parametrize("how", ["call", "entries"])
def test_a_retry_that_sqs_refuses_is_left_open_until_its_lease_ends(
    rig: CompleterRig, how: str
) -> None:
    [delivery] = rig.received()
    if how == "call":
        rig.queue.fail("change_visibility")
    else:
        rig.queue.fail_entries("change_visibility")
    rig.completer.complete(delivery, Retry("down"))
    assert rig.custody.open() == 1
    rig.clock.advance(rig.visibility)
    assert rig.custody.open() == 0


# Dead-lettered.


def test_a_reject_sends_the_dead_letter_before_it_deletes(rig: CompleterRig) -> None:
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
def test_a_dead_letter_is_counted_by_its_reason(
    rig: CompleterRig, reason: str, outcome: str
) -> None:
    rig.complete(Reject(DeadLetterReason(reason), "why"))
    assert rig.events() == {outcome: 1}
    assert rig.count("worker_dead_lettered_total", reason=reason) == 1


def test_an_empty_body_can_be_dead_lettered_too(rig: CompleterRig) -> None:
    rig.complete(Reject(DeadLetterReason.INVALID_PAYLOAD, "the body is empty"), body=" ")
    [delivery] = rig.received("")
    rig.completer.complete(delivery, Reject(DeadLetterReason.INVALID_PAYLOAD, "the body is empty"))
    assert [letter.body for letter in rig.queue.dlq] == [" ", " "]


@pytest.mark.parametrize("why", ["no dead-letter queue", "the send fails"])
def test_a_dead_letter_that_cannot_be_sent_is_not_deleted_but_hidden_and_counted(
    why: str, lines: list[dict[str, Any]]
) -> None:
    rig = CompleterRig(has_dlq=why != "no dead-letter queue")
    if why == "the send fails":
        rig.queue.fail("dead_letter")
    delivery = rig.complete(PERMANENT)
    assert rig.queue.dlq == []
    assert rig.queue.calls("delete") == []
    assert rig.queue.hidden_for(delivery.message.id) == 900
    assert rig.count("worker_dead_letter_failures_total") == 1
    assert rig.count("worker_dead_lettered_total", reason="permanent_error") == 0
    assert rig.events() == {"retried": 1}
    assert [line["message_id"] for line in lines if line["level"] == "ERROR"] == ["m1"]
    rig.deleter.stop(PATIENCE)


def test_a_dead_letter_whose_send_outlasts_the_lease_is_not_hidden_from_its_new_holder(
    rig: CompleterRig,
) -> None:
    def fail_late(receipts: object) -> dict[int, BatchFailure]:
        rig.clock.advance(rig.visibility)
        raise SqsError("ReadTimeoutError", "scripted")

    rig.queue.script("dead_letter", fail_late)
    [delivery] = rig.received()
    rig.completer.complete(delivery, PERMANENT)
    assert rig.queue.dlq == []
    assert rig.queue.calls("change_visibility") == []


# After the lease.


@pytest.mark.parametrize("outcome", [Retry("down"), PERMANENT])
def test_after_the_lease_no_retry_or_reject_is_carried_out(
    rig: CompleterRig, outcome: Outcome
) -> None:
    [delivery] = rig.received()
    rig.clock.advance(rig.visibility)
    rig.completer.complete(delivery, outcome)
    rig.flush()
    assert (rig.queue.left(), rig.queue.dlq) == ([delivery.message.id], [])
    assert rig.queue.calls("change_visibility") == rig.queue.calls("delete") == []
    assert rig.events() == {}
    assert rig.count("worker_leases_lost_total") == 1


def test_a_retry_whose_lease_ends_while_a_renewal_hangs_is_not_carried_out(
    rig: CompleterRig,
) -> None:
    [delivery] = rig.received()
    rig.clock.advance(rig.visibility - 1)
    renewal = rig.queue.hold("change_visibility")
    ticking = in_thread(rig.leases.tick)
    renewal.wait_entered()
    completing = in_thread(lambda: rig.completer.complete(delivery, Retry("down")))
    eventually(lambda: rig.leases.count == 0)
    rig.clock.advance(1)
    renewal.release()
    for thread in (ticking, completing):
        thread.join(PATIENCE)
    assert len(rig.queue.calls("change_visibility")) == 1
    assert rig.events() == {}
    assert rig.count("worker_leases_lost_total") == 1


@pytest.mark.parametrize("outcome", [Ack(), Retry("down"), PERMANENT])
def test_a_completed_message_is_not_renewed(rig: CompleterRig, outcome: Outcome) -> None:
    delivery = rig.complete(outcome)
    before = len(rig.queue.calls("change_visibility"))
    rig.clock.advance(rig.visibility * 0.9)
    rig.leases.tick()
    assert len(rig.queue.calls("change_visibility")) == before
    assert not rig.custody.claim(delivery)


def test_a_lost_message_is_counted_once(rig: CompleterRig) -> None:
    [delivery] = rig.received()
    rig.completer.lease_lost(delivery)
    rig.completer.lease_lost(delivery)
    assert rig.count("worker_leases_lost_total") == 1
