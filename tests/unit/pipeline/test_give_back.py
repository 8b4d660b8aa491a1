"""The stop gives messages back, and each stays open until its give-back is confirmed."""

import pytest

from reservation_worker.outcome import Ack, Outcome, Retry
from reservation_worker.pipeline.custody import Ending
from tests.fake_queue import PATIENCE, event_body, eventually
from tests.unit.pipeline.lease_rig import in_thread
from tests.unit.pipeline.rig import CALL, PERMANENT, CompleterRig


def test_waiting_messages_are_given_back_at_once_in_batches_of_ten(rig: CompleterRig) -> None:
    deliveries = rig.received(*[event_body()] * 25)
    rig.completer.give_back(deliveries)
    calls = rig.queue.calls("change_visibility")
    assert [(len(receipts), seconds) for receipts, seconds in calls] == [(10, 0), (10, 0), (5, 0)]
    assert rig.count("worker_given_back_total") == 25
    assert rig.custody.open() == 0
    assert rig.events() == {}


def test_a_message_with_a_call_in_flight_comes_back_when_that_call_must_be_over(
    rig: CompleterRig,
) -> None:
    waiting, calling = rig.received(event_body(), event_body())
    rig.leases.begin_call(calling.lease, CALL)
    rig.clock.advance(2.5)
    rig.completer.give_back([waiting, calling])
    assert rig.queue.hidden_for(waiting.message.id) == 0
    assert rig.queue.hidden_for(calling.message.id) == 8
    assert not rig.leases.held(calling.lease)


@pytest.mark.parametrize("outcome", [Retry("down"), PERMANENT])
def test_after_a_give_back_no_retry_or_reject_is_carried_out(
    rig: CompleterRig, outcome: Outcome
) -> None:
    [delivery] = rig.received()
    rig.completer.give_back([delivery])
    rig.completer.complete(delivery, outcome)
    assert len(rig.queue.calls("change_visibility")) == 1
    assert (rig.queue.dlq, rig.events()) == ([], {})
    assert rig.count("worker_leases_lost_total") == 0


def test_a_message_that_is_acknowledged_after_its_give_back_is_still_deleted(
    rig: CompleterRig,
) -> None:
    [delivery] = rig.received()
    rig.completer.give_back([delivery])
    rig.completer.complete(delivery, Ack())
    eventually(lambda: not rig.queue.left())
    assert rig.queue.left() == []
    assert rig.memory.knows(delivery.message.id)


@pytest.mark.parametrize("outcome", [Ack(), Retry("down"), PERMANENT])
def test_a_completed_message_is_not_given_back(rig: CompleterRig, outcome: Outcome) -> None:
    delivery = rig.complete(outcome)
    before = len(rig.queue.calls("change_visibility"))
    rig.completer.give_back([delivery])
    assert len(rig.queue.calls("change_visibility")) == before
    assert rig.custody.open() == 0


def test_a_message_that_another_worker_holds_by_now_is_not_given_back(rig: CompleterRig) -> None:
    [delivery] = rig.received()
    rig.clock.advance(rig.visibility)
    rig.queue.receive(10, 0)
    rig.completer.give_back([delivery])
    assert rig.queue.hidden_for(delivery.message.id) == rig.visibility
    assert rig.count("worker_leases_lost_total") == 1


def test_a_delivery_whose_lease_is_over_is_lost_at_once_and_never_counts_as_open(
    rig: CompleterRig,
) -> None:
    [delivery] = rig.received()
    rig.clock.advance(rig.visibility - 1)
    renewal = rig.queue.hold("change_visibility")
    renewing = in_thread(rig.leases.tick)
    renewal.wait_entered()
    rig.clock.advance(1)
    giving = in_thread(lambda: rig.completer.give_back([delivery]))
    giving.join(PATIENCE / 10)
    still_open = rig.custody.open()
    renewal.release()
    renewing.join(PATIENCE)
    assert still_open == 0
    assert rig.count("worker_leases_lost_total") == 1


@pytest.mark.parametrize(("how", "missing"), [("call", 3), ("entries", 1)])
def test_messages_that_cannot_be_given_back_stay_open(
    rig: CompleterRig, how: str, missing: int
) -> None:
    if how == "call":
        rig.queue.fail("change_visibility")
    else:
        rig.queue.fail_entries("change_visibility", positions=[1])
    deliveries = rig.received(*[event_body()] * 3)
    rig.completer.give_back(deliveries)
    assert rig.custody.open() == missing
    assert rig.count("worker_given_back_total") == 3 - missing


def test_messages_stay_open_until_their_give_back_is_answered(rig: CompleterRig) -> None:
    deliveries = rig.received(*[event_body()] * 12)
    call = rig.queue.hold("change_visibility")
    giving = in_thread(lambda: rig.completer.give_back(deliveries))
    call.wait_entered()
    assert rig.custody.open() == 12
    call.release()
    giving.join(PATIENCE)
    assert rig.custody.open() == 0


def test_a_message_on_its_last_receive_is_dead_lettered_instead_of_given_back(
    rig: CompleterRig,
) -> None:
    rig.max_receive_count = 3
    again, last = *rig.received(times=2), *rig.received(times=3)
    rig.completer.give_back([again, last])
    eventually(lambda: not rig.custody.open())
    assert rig.queue.left() == [again.message.id]
    [letter] = rig.queue.dlq
    assert letter.attributes["dlq_reason"]["StringValue"] == "retries_exhausted"
    assert "maxReceiveCount" in letter.attributes["dlq_error"]["StringValue"]


def test_a_delivery_that_waits_for_its_renewal_to_end_counts_as_open_meanwhile(
    rig: CompleterRig,
) -> None:
    deliveries = rig.received(*[event_body()] * 3)
    rig.clock.advance(rig.visibility * 0.7)
    call = rig.queue.hold("change_visibility")
    renewing = in_thread(rig.leases.tick)
    call.wait_entered()
    giving = in_thread(lambda: rig.completer.give_back(deliveries))
    eventually(lambda: rig.custody.open() == 3)
    call.release()
    giving.join(PATIENCE)
    renewing.join(PATIENCE)
    assert rig.custody.open() == 0


def test_a_message_deleted_during_its_give_back_is_not_left_open(rig: CompleterRig) -> None:
    [delivery] = rig.received()
    call = rig.queue.hold("change_visibility")
    giving = in_thread(lambda: rig.completer.give_back([delivery]))
    call.wait_entered()
    rig.completer.complete(delivery, Ack())
    rig.flush()
    call.release()
    giving.join(PATIENCE)
    assert rig.custody.open() == 0
    assert rig.custody.endings == {Ending.DELETED: 1}
    assert rig.count("worker_given_back_total") == 0


def test_a_message_given_back_before_its_acknowledgement_is_not_left_open(
    rig: CompleterRig,
) -> None:
    [delivery] = rig.received()
    rig.completer.give_back([delivery])
    rig.deleter.stop(PATIENCE)
    rig.completer.complete(delivery, Ack())
    assert rig.custody.open() == 0
    assert rig.custody.endings == {Ending.GIVEN_BACK: 1}
