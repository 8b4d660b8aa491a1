"""The probes of a worker at work."""

import pytest

from reservation_worker.pipeline.neighbours import INVENTORY
from tests.fake_queue import eventually, sample
from tests.integration.worker_rig import MakeWorker


def test_a_started_worker_settles_messages_and_is_ready(
    worker: MakeWorker,
) -> None:
    made = worker()
    made.app.start()
    made.send("rsv_1", "rsv_2")
    eventually(lambda: not made.queue.left())
    assert sorted(made.work.began) == ["rsv_1", "rsv_2"]
    assert made.probe("/ready") == (200, [])
    assert made.probe("/health") == (200, [])
    assert sample(made.app.metrics, "worker_events_total", type="expired", outcome="success") == 2


def test_a_worker_is_not_ready_before_its_first_receive_but_alive(worker: MakeWorker) -> None:
    made = worker()
    first = made.queue.hold("receive")
    made.app.start()
    first.wait_entered()
    assert made.probe("/ready") == (503, ["queue"])
    assert made.probe("/health") == (200, [])
    first.release()
    eventually(lambda: made.probe("/ready") == (200, []))


def test_a_queue_that_fails_turns_ready_red_and_not_health(
    worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backoff.full_jitter", lambda longest: 0.0)
    made = worker()
    made.queue.during("receive", lambda: None)
    made.queue.fail("receive", times=3)
    after = made.queue.hold("receive")
    made.app.start()
    after.wait_entered()
    assert made.probe("/ready") == (503, ["queue"])
    assert made.probe("/health") == (200, [])
    made.queue.end_polls()
    after.release()
    eventually(lambda: made.probe("/ready") == (200, []))


def test_an_open_breaker_turns_ready_red_and_not_health(worker: MakeWorker) -> None:
    made = worker()
    made.app.start()
    eventually(lambda: made.probe("/ready") == (200, []))
    breaker = made.app.pipeline.breakers.of(INVENTORY)
    for number in range(10):
        breaker.record(breaker.admit(), f"m{number}", ok=False)
    assert made.probe("/ready") == (503, ["breaker_inventory"])
    assert made.probe("/health") == (200, [])


def test_a_pool_that_is_wedged_turns_health_red_until_a_thread_is_free(
    worker: MakeWorker,
) -> None:
    made = worker(call_timeout=0.01)
    made.work.stand_still("rsv_1", "rsv_2")
    made.app.start()
    made.send("rsv_1")
    eventually(lambda: made.work.began)
    # One of two threads has passed the deadline of four calls; the other one still works.
    began = made.app.pipeline.dispatcher.running()[0].started_at
    assert began is not None
    eventually(lambda: made.queue.clock() > began + 0.1)
    assert made.probe("/health") == (200, [])
    made.send("rsv_2")
    eventually(lambda: made.probe("/health") == (503, ["threads"]))
    made.work.let_go("rsv_1")
    eventually(lambda: made.probe("/health") == (200, []))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_poller_that_has_died_turns_health_red(worker: MakeWorker) -> None:
    made = worker()

    def die() -> None:
        raise SystemExit

    made.queue.during("receive", die)
    made.app.start()
    eventually(lambda: made.probe("/health") == (503, ["poller"]))
    eventually(lambda: sample(made.app.metrics, "worker_poller_silent_seconds") > 0)
