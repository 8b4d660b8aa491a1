"""The stop of a worker, in order, and its exit code."""

import threading
from typing import Any

import pytest
import requests

from reservation_worker.clients.ports import StatusChange
from reservation_worker.errors import LeaseLost
from reservation_worker.outcome import Ack, Retry
from tests.fake_queue import eventually, sample
from tests.integration.worker_rig import CALL, MakeWorker, full


def test_an_idle_worker_stops_with_zero(worker: MakeWorker) -> None:
    made = worker()
    made.app.start()
    eventually(lambda: made.app.pipeline.poller.has_received)
    assert made.stop() == 0


def test_a_worker_that_was_never_started_stops_with_zero_and_does_not_start_any_more(
    worker: MakeWorker,
) -> None:
    made = worker()
    assert made.stop() == 0
    made.app.start()
    made.send("rsv_1")
    assert made.app.pipeline.poller.join(0)
    assert made.queue.calls("receive") == []
    with pytest.raises(requests.ConnectionError):
        made.probe("/health")


def test_the_stop_gives_waiting_messages_back_at_once_and_lets_running_ones_finish(
    worker: MakeWorker,
) -> None:
    made, _, waiting = full(worker)
    stopping = made.stopping()
    eventually(lambda: [made.queue.hidden_for(one) for one in waiting] == [0, 0, 0])
    assert not stopping.done
    made.work.let_go()
    assert stopping.code() == 0
    assert made.queue.left() == waiting
    assert sorted(made.work.began) == ["rsv_1", "rsv_2"]
    assert sample(made.app.metrics, "worker_given_back_total") == 3


def test_a_stop_gives_waiting_messages_back_although_no_thread_can_be_started(
    worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, _, waiting = full(worker)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    made.work.let_go()
    assert made.stop() == 0
    assert made.queue.left() == waiting


def test_while_draining_ready_is_red_and_health_is_green(worker: MakeWorker) -> None:
    made, _, _ = full(worker)
    stopping = made.stopping()
    eventually(lambda: made.app.pipeline.poller.join(0))
    assert made.probe("/ready") == (503, ["draining"])
    assert made.probe("/health") == (200, [])
    made.work.let_go()
    assert stopping.code() == 0
    with pytest.raises(requests.ConnectionError):
        made.probe("/health")


def test_a_scrape_during_the_stop_sees_how_long_it_has_taken_so_far(worker: MakeWorker) -> None:
    made, _, _ = full(worker)
    assert sample(made.app.metrics, "worker_drain_seconds") == 0
    stopping = made.stopping()
    eventually(lambda: sample(made.app.metrics, "worker_drain_seconds") > 0)
    seen = sample(made.app.metrics, "worker_drain_seconds")
    eventually(lambda: sample(made.app.metrics, "worker_drain_seconds") > seen)
    made.work.let_go()
    assert stopping.code() == 0


def test_a_hanging_message_is_fenced_and_comes_back_when_its_call_must_be_over(
    worker: MakeWorker,
) -> None:
    made = worker(shutdown_timeout=2.5)
    change = StatusChange("rsv_1", "EXPIRED")
    made.work.stand_still("rsv_2")
    made.work.then = lambda event, neighbours: Ack(str(neighbours.update_status(change)))
    made.neighbour.answering.clear()
    in_call, between_calls, waiting = made.send("rsv_1", "rsv_2", "rsv_1")
    made.app.start()
    eventually(lambda: made.neighbour.patched and made.app.pipeline.dispatcher.busy == 2)
    assert made.stop() == 0
    # No other pod may handle the message of the call in flight; the others are visible at once.
    assert CALL / 2 < made.queue.hidden_for(in_call) < CALL
    assert made.queue.hidden_for(between_calls) == made.queue.hidden_for(waiting) == 0
    # The hanging handler goes on, but may not call any more.
    patched = list(made.neighbour.patched)
    made.work.let_go()
    eventually(lambda: made.work.errors)
    assert [type(one) for one in made.work.errors] == [LeaseLost]
    assert made.neighbour.patched == patched
    assert made.queue.left() == [in_call, between_calls, waiting]


def test_a_delete_that_hangs_makes_the_stop_return_one(worker: MakeWorker) -> None:
    made, _, _ = full(worker, shutdown_timeout=1.0)
    delete = made.queue.hold("delete")
    stopping = made.stopping()
    made.work.let_go()
    assert stopping.code() == 1
    delete.release()


def test_a_give_back_that_hangs_makes_the_stop_return_one(worker: MakeWorker) -> None:
    made, _, _ = full(worker, shutdown_timeout=1.0)
    made.work.then = lambda event, neighbours: Retry("down")
    made.queue.during("change_visibility", lambda: None)  # waiting messages are given back
    retry = made.queue.hold("change_visibility")
    stopping = made.stopping()
    eventually(lambda: len(made.queue.calls("change_visibility")) == 1)
    made.work.let_go("rsv_1")
    retry.wait_entered()
    made.work.let_go("rsv_2")
    assert stopping.code() == 1
    retry.release()


@pytest.mark.parametrize("how", ["call", "entries"])
def test_a_retry_that_sqs_refuses_during_the_stop_makes_it_return_one(
    worker: MakeWorker, how: str
) -> None:
    made, _, _ = full(worker)
    made.work.then = lambda event, neighbours: Retry("down")
    stopping = made.stopping()
    eventually(lambda: len(made.queue.calls("change_visibility")) == 1)
    if how == "call":
        made.queue.fail("change_visibility", times=2)
    else:
        made.queue.fail_entries("change_visibility", times=2)
    made.work.let_go()
    assert stopping.code() == 1


def test_a_message_that_is_deleted_while_it_is_given_back_makes_the_stop_return_zero(
    worker: MakeWorker,
) -> None:
    made = worker(shutdown_timeout=2.5)
    made.work.stand_still("rsv_1")
    [message] = made.send("rsv_1")
    made.app.start()
    eventually(lambda: made.app.pipeline.dispatcher.busy == 1)
    giving_back = made.queue.hold("change_visibility")
    stopping = made.stopping()
    giving_back.wait_entered()
    made.work.let_go()
    eventually(lambda: not made.queue.left())
    giving_back.release()
    assert stopping.code() == 0
    assert message not in made.queue.left()


def test_a_delete_given_up_during_the_stop_makes_it_return_one(worker: MakeWorker) -> None:
    made, _, _ = full(worker)
    made.queue.fail("delete", times=3)
    stopping = made.stopping()
    made.work.let_go("rsv_1")
    eventually(lambda: sample(made.app.metrics, "worker_delete_failures_total") == 1)
    made.work.let_go("rsv_2")
    assert stopping.code() == 1


def test_messages_that_cannot_be_given_back_make_the_stop_return_one(worker: MakeWorker) -> None:
    made, _, waiting = full(worker)
    made.queue.fail("change_visibility")
    stopping = made.stopping()
    made.work.let_go()
    assert stopping.code() == 1
    assert made.queue.left() == waiting


def test_messages_whose_receipts_are_void_at_the_give_back_make_the_stop_return_zero(
    worker: MakeWorker,
) -> None:
    made, *_ = full(worker)
    made.queue.fail_entries("change_visibility", code="ReceiptHandleIsInvalid")
    stopping = made.stopping()
    made.work.let_go()
    assert stopping.code() == 0


def test_a_long_poll_ends_by_itself_and_its_messages_are_given_back(worker: MakeWorker) -> None:
    made = worker()
    made.queue.during("receive", lambda: None)
    poll = made.queue.hold("receive")
    made.app.start()
    poll.wait_entered()
    stopping = made.stopping()
    late = made.send("rsv_1")
    assert not stopping.done
    poll.release()
    assert stopping.code() == 0
    assert made.queue.left() == late
    assert made.queue.hidden_for(late[0]) == 0
    assert made.work.began == []


def test_a_long_poll_that_does_not_end_makes_the_stop_return_one(worker: MakeWorker) -> None:
    made = worker(shutdown_timeout=0.5)
    poll = made.queue.hold("receive")
    made.app.start()
    poll.wait_entered()
    assert made.app.stop() == 1
    poll.release()


def test_a_second_stop_waits_for_the_first_and_returns_its_code(worker: MakeWorker) -> None:
    made, _, _ = full(worker)
    made.queue.fail("change_visibility")
    first, second = made.stopping(), made.stopping()
    assert not first.done
    assert not second.done
    made.work.let_go()
    assert (first.code(), second.code(), made.app.stop()) == (1, 1, 1)


def test_the_stop_ends_telemetry_after_the_acks_and_health_last(worker: MakeWorker) -> None:
    made, running, waiting = full(worker)
    seen: list[tuple[Any, ...]] = []

    def shutdown(timeout: float) -> None:
        deleted = [one for one in running if one not in made.queue.left()]
        polling = not made.app.pipeline.poller.join(0)
        seen.append((deleted, polling, made.probe("/ready")[0], made.probe("/health")[0]))

    made.app.tracing.shutdown = shutdown  # type: ignore[method-assign]
    stopping = made.stopping()
    made.work.let_go()
    assert stopping.code() == 0
    assert seen == [(running, False, 503, 200)]
    assert made.queue.left() == waiting
