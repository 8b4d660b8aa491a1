"""What waits for a thread: paid customers first, and never two of one reservation at a time."""

import pytest

from reservation_worker.pipeline.backlog import Backlog
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.leases import Lease
from reservation_worker.sqs.queue import Message
from tests.fake_queue import event_body, opened


def delivery(
    message_id: str, reservation: str, event_type: str = "reservation.expired"
) -> Delivery:
    message = Message(message_id, f"{message_id}#1", event_body(event_type, reservation))
    return opened(message, 0.0, Lease)


def bad(message_id: str) -> Delivery:
    return opened(Message(message_id, f"{message_id}#1", "no JSON"), 0.0, Lease)


def pushed(*deliveries: Delivery) -> Backlog:
    backlog = Backlog()
    for one in deliveries:
        backlog.push(one)
    return backlog


def names(deliveries: list[Delivery]) -> list[str]:
    return [one.message.id for one in deliveries]


def test_deliveries_start_in_the_order_of_their_receives() -> None:
    backlog = pushed(*(delivery(f"m{number}", f"rsv_{number}") for number in range(3)))
    assert len(backlog) == 3
    assert names([backlog.pop() for _ in range(3)]) == ["m0", "m1", "m2"]


def test_nothing_waits_in_an_empty_backlog() -> None:
    with pytest.raises(IndexError):
        Backlog().pop()


def test_a_payment_approved_goes_before_the_others() -> None:
    backlog = pushed(
        delivery("expired", "rsv_1"),
        delivery("failed", "rsv_2", "payment.failed"),
        bad("bad"),
        delivery("approved", "rsv_3", "payment.approved"),
    )
    assert names([backlog.pop() for _ in range(4)]) == ["approved", "expired", "failed", "bad"]


def test_the_second_of_a_reservation_waits_until_the_first_has_ended() -> None:
    backlog = Backlog()
    first, second = delivery("m1", "rsv_1"), delivery("m2", "rsv_1", "payment.approved")
    assert backlog.push(first)
    assert not backlog.push(second)
    assert len(backlog) == 1
    assert backlog.pop() is first
    assert len(backlog) == 0
    assert backlog.done(first.key)
    assert backlog.pop() is second
    assert not backlog.done(second.key)


def test_those_of_one_reservation_keep_their_order() -> None:
    waiting = [delivery(f"m{number}", "rsv_1") for number in range(4)]
    backlog = pushed(*waiting)
    order = []
    for _ in waiting:
        order.append(backlog.pop())
        backlog.done(order[-1].key)
    assert order == waiting


def test_a_second_copy_of_the_same_message_waits_too() -> None:
    backlog = Backlog()
    assert backlog.push(delivery("m1", "rsv_1"))
    assert not backlog.push(delivery("m1", "rsv_1"))


def test_a_second_copy_of_a_message_without_a_reservation_waits_too() -> None:
    backlog = Backlog()
    assert backlog.push(bad("m1"))
    assert not backlog.push(bad("m1"))
    assert backlog.push(bad("m2"))


def test_a_reservation_that_has_ended_leaves_nothing_behind() -> None:
    backlog = Backlog()
    for number in range(3):
        backlog.push(delivery("m", f"rsv_{number}"))
        backlog.done(backlog.pop().key)
    assert not any(f"rsv_{number}" in backlog for number in range(3))


def test_a_drain_takes_out_all_that_has_not_started_and_nothing_twice() -> None:
    backlog = Backlog()
    running = delivery("running", "rsv_1", "payment.approved")
    backlog.push(running)
    assert backlog.pop() is running
    waiting = [
        delivery("behind the running one", "rsv_1"),
        delivery("ready", "rsv_2"),
        delivery("behind the ready one", "rsv_2"),
        delivery("urgent", "rsv_3", "payment.approved"),
        bad("bad"),
    ]
    for one in waiting:
        backlog.push(one)
    assert sorted(names(backlog.drain())) == sorted(names(waiting))
    assert len(backlog) == 0
    assert backlog.drain() == []
    assert not backlog.done(running.key)
