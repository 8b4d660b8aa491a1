"""What waits for SQS or SNS goes out in batches."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from reservation_worker.pipeline.batching import Batches
from reservation_worker.sqs.batches import BATCH
from tests.fake_queue import PATIENCE


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


def filled(count: int, capacity: int = 100) -> Batches[int]:
    batches: Batches[int] = Batches(capacity)
    for number in range(count):
        assert batches.put(number)
    return batches


def test_ten_go_out_without_a_linger_and_in_order() -> None:
    batches = filled(25)
    assert batches.take(PATIENCE) == list(range(10))
    assert batches.take(PATIENCE) == list(range(10, 20))


def test_fewer_go_out_when_the_linger_is_over() -> None:
    assert filled(3).take(0.0) == [0, 1, 2]


@pytest.mark.parametrize("already", [0, 1, BATCH - 1])
def test_a_waiting_consumer_is_woken_by_the_item_that_fills_a_batch(
    pool: ThreadPoolExecutor, already: int
) -> None:
    batches = filled(already)
    taken = pool.submit(batches.take, 10 * PATIENCE)
    for number in range(already, BATCH):
        batches.put(number)
    assert taken.result(PATIENCE) == list(range(BATCH))


def test_a_full_queue_takes_nothing_until_a_batch_has_gone(pool: ThreadPoolExecutor) -> None:
    batches = filled(BATCH, capacity=BATCH)
    assert not batches.put(99)
    put = pool.submit(batches.put, 99, PATIENCE)
    batches.take()
    assert put.result(PATIENCE)
    batches.close()
    assert batches.take() == [99]


def test_a_close_hands_out_the_remaining_items_at_once(
    pool: ThreadPoolExecutor,
) -> None:
    batches = filled(3)
    taken = pool.submit(lambda: [batches.take(10 * PATIENCE), batches.take()])
    batches.close()
    assert taken.result(PATIENCE) == [[0, 1, 2], []]


def test_a_close_wakes_a_consumer_that_waits_for_the_first_item(pool: ThreadPoolExecutor) -> None:
    batches = filled(0)
    waits = threading.Event()
    taken = pool.submit(lambda: (waits.set(), batches.take()))
    assert waits.wait(PATIENCE)
    batches.close()
    assert taken.result(PATIENCE)[1] == []
