"""Settlements are published to SNS, and publishing never blocks a settlement."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from loguru import logger

from reservation_worker.events.kinds import Kind
from reservation_worker.notifications import CAPACITY, LONGEST, Notifier, SnsTopic, notification
from reservation_worker.outcome import SUPERSEDED
from tests.fake_queue import PATIENCE, eventually, new_metrics, sample
from tests.unit.status.test_recent import completed

PAID = replace(
    completed(1),
    label="approved",
    event_id="evt_1",
    payment_intent_id="pay_1",
    user_id="user_1",
    trace_id="t",
    note="settled",
)


class Topic:
    """Keeps the notifications; blocks, refuses or fails on request."""

    def __init__(self) -> None:
        self.sent: list[Mapping[str, str]] = []
        self.batches: list[int] = []
        self.go = threading.Event()
        self.go.set()
        self.entered = threading.Event()
        self.refuse: set[int] = set()
        self.error: Exception | None = None

    def publish(self, batch: Sequence[Mapping[str, str]]) -> set[int]:
        self.entered.set()
        assert self.go.wait(PATIENCE)
        if self.error:
            raise self.error
        self.batches.append(len(batch))
        self.sent += [one for position, one in enumerate(batch) if position not in self.refuse]
        return self.refuse


class Rig:
    def __init__(self) -> None:
        self.topic = Topic()
        self.metrics = new_metrics()
        self.notifier = Notifier(self.topic.publish, self.metrics)

    def count(self, result: str) -> float:
        return sample(self.metrics, "worker_notifications_total", result=result)


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.topic.go.set()
    made.notifier.stop(PATIENCE)


def test_a_confirmed_reservation_is_notified_with_the_customers_facts() -> None:
    assert notification(PAID) == {
        "id": "reservation_confirmed:rsv_1",
        "type": "reservation_confirmed",
        "reservation_id": "rsv_1",
        "event_id": "evt_1",
        "payment_intent_id": "pay_1",
        "user_id": "user_1",
        "trace_id": "t",
        "settled_at": "2026-01-02T03:04:05.000+00:00",
    }


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_of_event_has_its_notification(kind: Kind) -> None:
    facts = notification(replace(PAID, label=kind.label, note="replayed"))
    assert facts is not None
    name = kind.value.notification
    assert (facts["type"], facts["id"]) == (name, f"{name}:rsv_1")


@pytest.mark.parametrize(
    "other",
    [
        replace(PAID, note=SUPERSEDED),
        replace(PAID, counted="retried"),
        replace(PAID, counted="failed"),
        replace(PAID, counted="dropped", label="unknown"),
        replace(PAID, counted="invalid_payload", label="unknown"),
    ],
)
def test_an_event_that_changed_nothing_for_the_customer_is_not_notified(other: object) -> None:
    assert notification(other) is None


def test_a_megabyte_of_text_is_left_out() -> None:
    facts = notification(replace(PAID, user_id="x" * (LONGEST + 1)))
    assert facts is not None
    assert "user_id" not in facts


def test_notifications_are_sent_in_batches_and_counted(rig: Rig) -> None:
    for number in range(12):
        rig.notifier.add(replace(PAID, reservation_id=f"rsv_{number}"))
    rig.notifier.start()
    eventually(lambda: rig.count("sent") == 12)
    assert rig.topic.batches == [10, 2]


def test_a_duplicate_is_not_notified_twice(rig: Rig) -> None:
    rig.notifier.add(PAID)
    rig.notifier.add(replace(PAID, note="replayed"))
    rig.notifier.start()
    rig.notifier.stop(PATIENCE)
    assert [one["id"] for one in rig.topic.sent] == ["reservation_confirmed:rsv_1"]


def test_a_hanging_topic_blocks_no_settlement_and_dropped_notifications_are_counted(
    rig: Rig,
) -> None:
    rig.topic.go.clear()
    rig.notifier.start()
    rig.notifier.add(PAID)
    assert rig.topic.entered.wait(PATIENCE)
    for number in range(CAPACITY + 3):
        rig.notifier.add(replace(PAID, reservation_id=f"rsv_x{number}"))
    assert rig.count("dropped") == 3
    rig.notifier.stop(0.01)  # a stop is bounded, too


def test_a_dropped_notification_may_be_sent_by_the_next_delivery(rig: Rig) -> None:
    for number in range(CAPACITY):
        rig.notifier.add(replace(PAID, reservation_id=f"rsv_x{number}"))
    rig.notifier.add(PAID)
    rig.notifier.start()
    eventually(lambda: rig.count("sent") == CAPACITY)
    rig.notifier.add(PAID)
    eventually(lambda: rig.count("sent") == CAPACITY + 1)


def test_refused_and_failed_ones_are_counted_and_the_thread_goes_on(rig: Rig) -> None:
    rig.topic.error = OSError("no route")
    rig.notifier.start()
    rig.notifier.add(PAID)
    eventually(lambda: rig.count("failed") == 1)
    rig.topic.error, rig.topic.refuse = None, {0}
    rig.notifier.add(replace(PAID, reservation_id="rsv_2"))
    eventually(lambda: rig.count("failed") == 2)
    assert rig.count("sent") == 0
    rig.topic.refuse = set()
    rig.notifier.add(replace(PAID, reservation_id="rsv_3"))
    eventually(lambda: rig.count("sent") == 1)


def test_a_failed_notification_may_be_sent_by_the_next_delivery(rig: Rig) -> None:
    rig.topic.error = OSError("no route")
    rig.notifier.start()
    rig.notifier.add(PAID)
    eventually(lambda: rig.count("failed") == 1)
    rig.topic.error = None
    rig.notifier.add(replace(PAID, note="replayed"))
    rig.notifier.stop(PATIENCE)
    assert [one["id"] for one in rig.topic.sent] == ["reservation_confirmed:rsv_1"]


def test_a_refused_notification_may_be_sent_by_the_next_delivery_and_its_batch_is_not(
    rig: Rig,
) -> None:
    other = replace(PAID, reservation_id="rsv_2")
    rig.topic.refuse = {1}
    rig.notifier.add(other)
    rig.notifier.add(PAID)
    rig.notifier.start()
    eventually(lambda: rig.count("failed") == 1)
    rig.topic.refuse = set()
    rig.notifier.add(replace(PAID, note="replayed"))
    rig.notifier.add(replace(other, note="replayed"))
    rig.notifier.stop(PATIENCE)
    assert [one["reservation_id"] for one in rig.topic.sent] == ["rsv_2", "rsv_1"]
    assert (rig.count("sent"), rig.count("failed")) == (2, 1)


def test_a_stop_logs_that_notifications_are_not_sent(rig: Rig) -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    rig.topic.go.clear()
    rig.notifier.start()
    rig.notifier.add(PAID)
    assert rig.topic.entered.wait(PATIENCE)
    rig.notifier.stop(0.01)
    logger.remove(sink)
    assert lines == ["notifications do not get through; the waiting ones are not sent\n"]


class FakeSns:
    """Takes everything, unless its credentials have expired."""

    def __init__(self, expired: bool = False) -> None:
        self.expired = expired
        self.sent: list[Any] = []
        self.answer: dict[str, Any] = {}

    def publish_batch(self, **given: Any) -> dict[str, Any]:
        if self.expired:
            raise ClientError({"Error": {"Code": "ExpiredToken"}}, "PublishBatch")
        self.sent.append(given)
        return self.answer

    def close(self) -> None:
        pass


def test_expired_credentials_are_replaced_by_those_of_a_new_session() -> None:
    new = FakeSns()
    made: Any = iter([FakeSns(expired=True), new])
    topic = SnsTopic("arn:aws:sns:ap-northeast-2:000000000000:customers", lambda: next(made))
    assert topic.publish([{"id": "1", "type": "payment_failed"}]) == set()
    assert len(new.sent) == 1


def test_the_notifications_that_sns_refused_are_known_by_their_positions() -> None:
    sns: Any = FakeSns()
    refusal = {"Id": "1", "Code": "InternalError", "Message": "again", "SenderFault": False}
    sns.answer = {"Successful": [{"Id": "0", "MessageId": "m"}], "Failed": [refusal]}
    topic = SnsTopic("arn:aws:sns:ap-northeast-2:000000000000:customers", lambda: sns)
    two = [{"id": one, "type": "payment_failed"} for one in ("a", "b")]
    assert topic.publish(two) == {1}


def test_the_longest_reservation_id_fits_a_fifo_topic() -> None:
    sns: Any = FakeSns()
    topic = SnsTopic("arn:aws:sns:ap-northeast-2:000000000000:customers.fifo", lambda: sns)
    ids = ["r" * 128, "r" * 127 + "s"]
    sent = [notification(replace(PAID, reservation_id=one)) for one in ids]
    assert topic.publish([one for one in sent if one]) == set()
    [given] = sns.sent
    entries = given["PublishBatchRequestEntries"]
    assert [one["MessageGroupId"] for one in entries] == ids
    keys = {one["MessageDeduplicationId"] for one in entries}
    assert len(keys) == 2
    assert all(len(key) <= 128 for key in keys)


def test_a_stop_sends_waiting_notifications_and_is_safe_twice_and_before_a_start(rig: Rig) -> None:
    rig.notifier.stop(PATIENCE)
    rig.notifier.start()
    rig.notifier.add(PAID)
    rig.notifier.stop(PATIENCE)
    assert len(rig.topic.sent) == 1
    rig.notifier.stop(PATIENCE)
