"""The benchmarks' queue keeps SQS's rules: a cheap queue that cheats would flatter everybody."""

import json

from benchmarks.stubs.latency import Latency
from benchmarks.stubs.queue import Queue, body
from reservation_worker.events.parse import Event, parse


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make_queue(count: int = 0) -> tuple[Queue, Clock]:
    clock = Clock()
    queue = Queue(clock, visibility=60)
    queue.add(count)
    return queue, clock


def test_what_was_received_is_hidden_until_its_visibility_ends() -> None:
    queue, clock = make_queue(3)
    assert len(queue.receive(10)) == 3
    clock.now += 59.9
    assert queue.receive(10) == []
    clock.now += 0.1
    again = queue.receive(10)
    assert [message.count for message in again] == [2, 2, 2]
    assert queue.redelivered == 3


def test_a_deleted_message_never_comes_back() -> None:
    queue, clock = make_queue(2)
    first, second = queue.receive(2)
    queue.delete(first.receipt)
    clock.now += 60
    assert queue.receive(10) == [second]
    assert queue.deleted == 1


def test_an_old_receipt_deletes_nothing() -> None:
    queue, clock = make_queue(1)
    old = queue.receive(1)[0].receipt
    clock.now += 60
    queue.receive(1)
    queue.delete(old)
    assert (queue.deleted, queue.in_flight) == (0, 1)


def test_visibility_can_be_made_shorter_and_longer() -> None:
    queue, clock = make_queue(2)
    early, late = queue.receive(2)
    assert queue.change_visibility(early.receipt, 0)
    assert queue.change_visibility(late.receipt, 120)
    assert [one.id for one in queue.receive(10)] == [early.id]
    clock.now += 60
    assert [one.id for one in queue.receive(10)] == [early.id]
    assert not queue.change_visibility("msg-77#1", 5)


def test_a_receive_may_ask_for_another_visibility() -> None:
    queue, clock = make_queue(2)
    queue.receive(1, 43_200)
    assert len(queue.receive(1, 0)) == 1
    assert [one.id for one in queue.receive(10)] == ["msg-1"]
    clock.now += 43_199
    assert "msg-0" not in [one.id for one in queue.receive(10)]


def test_a_million_messages_wait_as_a_number() -> None:
    queue, _ = make_queue(1_000_000)
    queue.receive(10)
    assert (queue.visible, queue.in_flight) == (999_990, 10)


def test_messages_come_in_order_and_once() -> None:
    queue, _ = make_queue(7)
    queue.add(8)
    got = [one.id for _ in range(4) for one in queue.receive(4)]
    assert got == [f"msg-{number}" for number in range(15)]


def test_holds_are_noted_from_the_mark_on() -> None:
    queue, clock = make_queue(2)
    queue.delete(queue.receive(1)[0].receipt)
    queue.mark()
    clock.now += 3
    message = queue.receive(1)[0]
    clock.now += 2
    queue.delete(message.receipt)
    assert list(queue.held) == [2.0]
    assert (queue.deleted, queue.last_delete - queue.began) == (1, 5.0)


def test_an_event_is_one_of_the_contract_with_a_trace_of_its_own() -> None:
    events = [parse(body(number), {}) for number in range(1000)]
    assert all(isinstance(event, Event) and not event.warnings for event in events)
    traces = {json.loads(body(number))["trace_id"] for number in range(1000)}
    # A sampler by ratio looks at the low 64 bits: about a tenth of them is below a tenth.
    low = [int(trace[16:], 16) for trace in traces]
    assert 80 <= sum(number < 2**64 // 10 for number in low) <= 120


def test_a_latency_is_uniform_around_its_mean_and_never_negative() -> None:
    latency = Latency(40, 20)
    drawn = [latency.next() for _ in range(2000)]
    assert 0.020 <= min(drawn) < 0.0205
    assert 0.0595 < max(drawn) <= 0.060
    assert abs(sum(drawn) / len(drawn) - 0.040) < 0.001
    assert min(Latency(1, 5).next() for _ in range(200)) == 0
