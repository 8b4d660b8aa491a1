"""How long messages stay hidden, on a real SQS server with real neighbours to ask."""

from contextlib import closing
from typing import Any

from reservation_worker.cli.dlq.holds import Holds
from reservation_worker.cli.dlq.letters import by_origin
from reservation_worker.cli.dlq.mover import SAFE, Mover
from tests.integration.dlq.bench import Bench, go_on, holding


def test_a_hold_that_may_have_ended_is_left_and_neither_moved_nor_taken_from_another(
    bench: Bench,
) -> None:
    bench.fill(2)
    now = [1000.0]
    holds, letters = holding(bench.queues(), clock=lambda: now[0])
    now[0] += 301
    report = Mover(bench.queues(), holds, go_on).move(by_origin(letters))
    assert set(report.left) == {letter.id for letter in letters}
    holds.release()
    assert (bench.counts(), bench.counts(bench.queue)) == ((0, 2), (0, 0))


def test_a_hold_is_renewed_before_half_of_its_time_is_left_and_before_a_move(
    bench: Bench,
) -> None:
    bench.fill(1)
    now = [1000.0]
    holds, (letter,) = holding(bench.queues(), clock=lambda: now[0])
    for _ in range(10):
        now[0] += 151  # of 300
        holds.renew()
    now[0] += 149
    holds.renew()
    assert not holds.safe([letter.id], 301)
    now[0] += 300 - SAFE + 1
    assert holds.safe([letter.id], SAFE) == {letter.id}


def test_messages_that_are_received_again_while_they_are_released_are_released_in_the_end(
    bench: Bench,
) -> None:
    bench.fill(3)
    queues = bench.queues()
    holds, letters = holding(queues)
    again: list[Any] = []

    def receive(**_: Any) -> None:
        again.extend(() if again else holds.receive(0))

    queues.again.meta.events.register("after-call.sqs.ChangeMessageVisibilityBatch", receive)
    holds.release([letter.id for letter in letters])
    assert {raw["MessageId"] for raw in again} == holds.ids() == {one.id for one in letters}
    holds.release()
    assert bench.counts() == (3, 0)


def test_messages_stay_hidden_for_as_long_as_somebody_looks(bench: Bench) -> None:
    bench.fill(12)
    holds = Holds(bench.queues(), hold=2)
    holds.start()
    with closing(holds):
        while holds.receive(0):
            pass
        # The receive is the wait: longer than a hold that nobody renews.
        assert "Messages" not in bench.client.receive_message(QueueUrl=bench.dlq, WaitTimeSeconds=3)
    assert bench.counts() == (12, 0)
