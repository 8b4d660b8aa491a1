"""Settled messages are deleted in batches; those that can't be deleted are remembered."""

import time

import pytest

from reservation_worker.pipeline.custody import Custody, Ending
from reservation_worker.pipeline.deleter import ATTEMPTS, Deleter
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.leases import Lease
from tests.fake_queue import PATIENCE, FakeClock, FakeQueue, eventually, new_metrics, opened, sample

FOREVER = 3_600.0
SHORT = 0.001
LEASE = 60.0


class Rig:
    """A deleter and `count` settled messages that were received from a fake queue."""

    def __init__(self, count: int, linger: float = FOREVER) -> None:
        self.queue = FakeQueue()
        self.metrics = new_metrics()
        self.held = True
        self.clock = FakeClock()
        self.custody = Custody(self.clock)
        self.deleter = Deleter(
            self.queue, self.custody, self.metrics, lambda delivery: self.held, linger
        )
        self.memory = self.deleter.memory
        for _ in range(count):
            self.queue.send()
        self.settled: list[Delivery] = []
        while len(self.settled) < count:
            self.settled += self.received()

    def received(self) -> list[Delivery]:
        received = self.queue.receive(10, 0)
        deliveries = [opened(one, self.clock() + LEASE, Lease) for one in received]
        self.custody.take(deliveries)
        return deliveries

    def add_all(self) -> None:
        for one in self.settled:
            self.deleter.add(one)

    def flush(self) -> int:
        """Everything that was added is tried; returns how many are left open."""
        self.add_all()
        self.deleter.start()
        return self.stop()

    def stop(self, timeout: float = PATIENCE) -> int:
        self.deleter.stop(timeout)
        return self.custody.open()

    @property
    def batches(self) -> list[tuple[str, ...]]:
        return [receipts for (receipts,) in self.queue.calls("delete")]

    @property
    def remembered(self) -> list[str]:
        return [one.message.id for one in self.settled if self.memory.knows(one.message.id)]

    @property
    def given_up(self) -> float:
        return sample(self.metrics, "worker_delete_failures_total")


# Batches.


def test_a_full_batch_is_deleted_at_once() -> None:
    rig = Rig(10)
    rig.deleter.start()
    rig.add_all()
    eventually(lambda: not rig.queue.left())
    assert rig.stop() == 0


def test_a_batch_that_does_not_get_full_is_deleted_after_a_short_linger() -> None:
    rig = Rig(3, linger=SHORT)
    rig.deleter.start()
    rig.add_all()
    eventually(lambda: not rig.queue.left())
    assert rig.stop() == 0


def test_deletes_within_the_linger_share_one_call() -> None:
    rig = Rig(3)
    assert rig.flush() == 0
    assert rig.batches == [("m1#1", "m2#1", "m3#1")]


def test_a_batch_never_has_more_than_ten() -> None:
    rig = Rig(25)
    assert rig.flush() == 0
    assert [len(batch) for batch in rig.batches] == [10, 10, 5]
    assert rig.queue.left() == []


def test_a_stop_flushes_a_batch_below_the_threshold() -> None:
    rig = Rig(9)
    rig.deleter.start()
    rig.add_all()
    assert rig.stop() == 0
    assert rig.queue.left() == []


def test_two_copies_of_one_message_in_one_batch_are_no_failure() -> None:
    rig = Rig(1)
    rig.queue.change_visibility([rig.settled[0].message.receipt], 0)
    rig.settled += rig.received()
    assert rig.flush() == 0
    assert rig.batches == [("m1#1", "m1#2")]
    assert rig.queue.left() == []


# Failures.


def test_entries_that_failed_by_the_server_are_tried_again_alone() -> None:
    rig = Rig(3)
    rig.queue.fail_entries("delete", positions=[1])
    assert rig.flush() == 0
    assert rig.batches == [("m1#1", "m2#1", "m3#1"), ("m2#1",)]
    assert (rig.queue.left(), rig.remembered, rig.given_up) == ([], [], 0)


def test_an_entry_that_failed_by_the_sender_is_not_tried_again_but_remembered() -> None:
    rig = Rig(3)
    rig.queue.fail_entries("delete", positions=[1], sender_fault=True)
    assert rig.flush() == 1
    assert len(rig.batches) == 1
    assert (rig.queue.left(), rig.remembered, rig.given_up) == (["m2"], ["m2"], 1)


def test_an_entry_with_a_void_receipt_is_not_tried_again() -> None:
    rig = Rig(1)
    # LocalStack does not report a bad receipt as the sender's fault.
    rig.queue.fail_entries("delete", code="ReceiptHandleIsInvalid", sender_fault=False)
    assert rig.flush() == 0
    assert len(rig.batches) == 1
    assert (rig.remembered, rig.custody.endings) == (["m1"], {Ending.LOST: 1})


def test_a_call_that_fails_is_tried_again_with_the_whole_batch() -> None:
    rig = Rig(3)
    rig.queue.fail("delete", times=ATTEMPTS - 1)
    assert rig.flush() == 0
    assert rig.batches == [("m1#1", "m2#1", "m3#1")] * ATTEMPTS
    assert rig.queue.left() == []


@pytest.mark.parametrize("how", ["call", "entries"])
def test_after_its_last_attempt_a_delete_is_given_up_and_remembered(how: str) -> None:
    rig = Rig(2)
    if how == "call":
        rig.queue.fail("delete", times=ATTEMPTS)
    else:
        rig.queue.fail_entries("delete", times=ATTEMPTS)
    assert rig.flush() == 2
    assert len(rig.batches) == ATTEMPTS
    assert (rig.remembered, rig.given_up) == (["m1", "m2"], 2)


def test_an_unexpected_error_costs_its_batch_only() -> None:
    rig = Rig(20)

    def fail() -> None:
        raise RuntimeError("a bug")

    rig.queue.fail_entries("delete", positions=range(5))
    rig.queue.during("delete", fail)
    rig.flush()
    assert (rig.given_up, rig.custody.open()) == (5, 5)
    assert rig.remembered == ["m1", "m2", "m3", "m4", "m5"]
    assert rig.queue.left() == rig.remembered


# What is remembered.


def test_a_delete_that_worked_ends_the_memory_of_an_earlier_failure() -> None:
    rig = Rig(1)
    rig.memory.remember("m1")
    assert rig.flush() == 0
    assert rig.remembered == []


def test_a_delete_after_the_lease_is_remembered_although_sqs_confirmed_it() -> None:
    rig = Rig(1)
    rig.held = False
    rig.queue.change_visibility([rig.settled[0].message.receipt], 0)
    [copy] = rig.received()
    # Only the copy is still ours.
    assert rig.flush() == 1
    # SQS has said yes to the old receipt and kept the copy.
    assert rig.queue.left() == [copy.message.id]
    assert rig.remembered == ["m1"]


# The stop.


def test_messages_whose_delete_hangs_are_open_after_the_stop() -> None:
    rig = Rig(12)
    call = rig.queue.hold("delete")
    rig.deleter.start()
    rig.add_all()
    call.wait_entered()
    began = time.monotonic()
    assert rig.stop(0.05) == 12
    assert time.monotonic() - began < PATIENCE / 2
    call.release()
    eventually(lambda: not rig.queue.left())


def test_a_delete_that_was_given_up_is_left_open_until_its_lease_ends() -> None:
    rig = Rig(1, linger=SHORT)
    rig.queue.fail("delete", times=ATTEMPTS)
    rig.deleter.start()
    rig.add_all()
    eventually(lambda: rig.given_up == 1)
    assert rig.stop() == 1
    rig.clock.advance(LEASE)
    assert rig.stop() == 0


def test_a_second_stop_finds_nothing_left_to_do() -> None:
    rig = Rig(3)
    assert rig.flush() == 0
    assert rig.stop() == 0
    assert len(rig.batches) == 1
