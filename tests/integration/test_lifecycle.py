"""Start and stop: one contract for all services, and the stop of the whole worker in order."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grpc
import pytest
import requests
from flask import Flask

from reservation_worker import worker as worker_module
from reservation_worker.bootstrap import build
from reservation_worker.clients.ports import CallContext, StatusAnswer, StatusChange
from reservation_worker.config.settings import Settings
from reservation_worker.errors import LeaseLost
from reservation_worker.events.kinds import Kind
from reservation_worker.events.parse import Event
from reservation_worker.handlers.settlement import Neighbours
from reservation_worker.outcome import Ack, Outcome, Retry
from reservation_worker.pipeline.breakers import Breakers
from reservation_worker.pipeline.custody import Custody
from reservation_worker.pipeline.deleter import Deleter
from reservation_worker.pipeline.dispatcher import Dispatcher
from reservation_worker.pipeline.leases import Leases
from reservation_worker.pipeline.memory import SettledMemory
from reservation_worker.pipeline.neighbours import INVENTORY
from reservation_worker.pipeline.poller import Poller
from reservation_worker.servers.debug.server import DebugServer
from reservation_worker.servers.health import HealthServer
from reservation_worker.sqs.facts import QueueFacts
from reservation_worker.status.history import History
from tests.fake_queue import PATIENCE, FakeQueue, event_body, eventually, new_metrics, sample

VISIBILITY = 60
CALL = 10.0
SETTINGS = replace(
    Settings.from_mapping(
        {
            "SQS_QUEUE_URL": "https://sqs.ap-northeast-2.amazonaws.com/123456789012/q",
            "SQS_WAIT_TIME": "1",
            "SERVER_HOST": "127.0.0.1",
            "SERVER_PORT": "0",
            "GRPC_DEBUG_PORT": "0",
            "WORKER_CONCURRENCY": "2",
        }
    ),
    call_timeout=CALL,
)
Handler = Callable[[Event, Neighbours], Outcome]


class Neighbour:
    """Both ports: answers what a test says, as late as it says."""

    def __init__(self) -> None:
        self.patched: list[str] = []
        self.answering = threading.Event()
        self.answering.set()

    def update_status(self, change: StatusChange, call: CallContext) -> StatusAnswer:
        self.patched.append(change.reservation_id)
        assert self.answering.wait(PATIENCE)
        return StatusAnswer(done=True)

    def probe(self, timeout: float) -> None: ...


class Work:
    """A handler that stands still for the reservations it is told to, until it is let go."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.errors: list[Exception] = []
        self._go: dict[str, threading.Event] = {}
        self.then: Handler = lambda event, neighbours: Ack()

    def stand_still(self, *reservations: str) -> None:
        for one in reservations:
            self._go[one] = threading.Event()

    def let_go(self, *reservations: str) -> None:
        """All of them when none is named."""
        for one in reservations or self._go:
            self._go[one].set()

    def __call__(self, event: Event, neighbours: Neighbours) -> Outcome:
        self.began.append(event.reservation_id)
        if go := self._go.get(event.reservation_id):
            assert go.wait(PATIENCE)
        try:
            return self.then(event, neighbours)
        except Exception as error:
            self.errors.append(error)
            raise


class Worker:
    """A whole worker on a fake queue."""

    def __init__(self, **changes: Any) -> None:
        self.queue = FakeQueue(visibility=VISIBILITY)
        self.work = Work()
        self.neighbour = Neighbour()
        self.app: worker_module.Worker = build(
            replace(SETTINGS, **changes),
            queue=self.queue,
            facts=QueueFacts(VISIBILITY, 30),
            reservation_api=self.neighbour,  # type: ignore[arg-type]
            inventory=self.neighbour,  # type: ignore[arg-type]
            handlers=dict.fromkeys(Kind, self.work),
        )
        self.port = self.app.health.port

    def send(self, *reservations: str) -> list[str]:
        return [self.queue.send(event_body("reservation.expired", one)) for one in reservations]

    def probe(self, path: str) -> tuple[int, list[str]]:
        """Status and what fails."""
        with requests.Session() as session:
            session.trust_env = False
            answer = session.get(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE)
        return answer.status_code, answer.json()["failing"]

    def stop(self) -> int:
        """Stop, without waiting for a long poll to end by itself."""
        self.queue.end_polls()
        return self.app.stop()

    def stopping(self) -> "Stopping":
        self.queue.end_polls()
        return Stopping(self.app)

    def end(self) -> None:
        self.work.let_go()
        self.neighbour.answering.set()
        self.queue.release_all()
        self.stop()


class Stopping:
    """A stop under way in a thread of its own; returns when /ready has turned red."""

    def __init__(self, app: worker_module.Worker) -> None:
        self.codes: list[int] = []
        self._thread = threading.Thread(target=lambda: self.codes.append(app.stop()), daemon=True)
        self._thread.start()
        assert app.draining.wait(PATIENCE)

    @property
    def done(self) -> bool:
        return bool(self.codes)

    def code(self) -> int:
        self._thread.join(PATIENCE)
        assert self.codes, "the stop did not end"
        return self.codes[0]


MakeWorker = Callable[..., Worker]


@pytest.fixture
def worker() -> Iterator[MakeWorker]:
    made: list[Worker] = []

    def make(**changes: Any) -> Worker:
        made.append(Worker(**changes))
        return made[-1]

    yield make
    for one in made:
        one.end()


# One contract for everything that is started and stopped.


class Service:
    """What all services have in common, by the names that each of them has for it."""

    def __init__(self, kind: str) -> None:
        queue, metrics = FakeQueue(), new_metrics()
        leases = Leases(queue, 30, queue._clock, metrics)
        self.parts: list[Any]
        self.stop: Callable[[], object]
        if kind == "App":
            made = Worker()
            app = made.app
            self.parts = [
                app.health,
                app.history,
                app.pipeline.leases,
                app.pipeline.deleter,
                app.pipeline.poller,
                app.debug,
            ]
            self.start, self.stop = app.start, made.stop
            return
        if kind == "Leases":
            part: Any = leases
            self.stop = part.stop
        elif kind == "History":
            part = History(metrics, lambda: 0, lambda: 0, queue._clock, queue._clock)
            self.stop = part.stop
        elif kind == "Deleter":
            part = Deleter(
                queue, Custody(queue._clock), SettledMemory(), metrics, lambda delivery: True
            )
            self.stop = lambda: part.stop(PATIENCE)
        elif kind == "DebugServer":
            part = Worker().app.debug
            self.stop = lambda: part.stop(PATIENCE)
        elif kind == "HealthServer":
            part = HealthServer(Flask("x"), "127.0.0.1", 0)
            self.stop = lambda: part.stop(PATIENCE)
        else:
            dispatcher = Dispatcher(1, lambda delivery: None, queue._clock)
            part = Poller(
                queue,
                dispatcher,
                Breakers({}),
                Custody(queue._clock),
                leases,
                metrics,
                lambda deliveries: None,
                1,
                queue._clock,
                queue._clock,
            )

            def stop() -> None:
                part.stop()
                queue.end_polls()
                assert part.join(PATIENCE)

            self.stop = stop
        self.parts = [part]
        self.start = part.start

    @property
    def alive(self) -> list[bool]:
        """Whether its threads run, and the debug server, which has none of its own, answers."""
        return [
            answers(part.port) if isinstance(part, DebugServer) else part._thread.is_alive()
            for part in self.parts
        ]


def answers(port: int) -> bool:
    """Whether a gRPC server takes calls there."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=0.5)
        except grpc.FutureTimeoutError:
            return False
        return True


@pytest.fixture(
    params=["Leases", "History", "Deleter", "Poller", "HealthServer", "DebugServer", "App"]
)
def service(request: pytest.FixtureRequest) -> Service:
    return Service(request.param)


def test_a_service_runs_from_its_start_to_its_stop(service: Service) -> None:
    assert not any(service.alive)
    service.start()
    eventually(lambda: all(service.alive))
    service.stop()
    eventually(lambda: not any(service.alive))


def test_a_second_stop_is_safe(service: Service) -> None:
    service.start()
    service.stop()
    service.stop()
    eventually(lambda: not any(service.alive))


def test_a_stop_before_the_start_is_safe(service: Service) -> None:
    service.stop()
    service.stop()
    assert not any(service.alive)


def test_many_stops_at_once_are_safe(service: Service) -> None:
    service.start()
    with ThreadPoolExecutor(4) as pool:
        for stop in [pool.submit(service.stop) for _ in range(4)]:
            stop.result(PATIENCE)
    eventually(lambda: not any(service.alive))


# The worker at work.


def test_a_started_worker_settles_what_comes_and_says_that_it_is_ready(
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
    # One of two threads is beyond a message's deadline of four calls: the other one works on.
    began = made.app.pipeline.dispatcher.running()[0].started_at
    assert began is not None
    eventually(lambda: made.queue._clock() > began + 0.1)
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


# The stop of the worker.


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
    assert not made.app.pipeline.poller._thread.is_alive()
    assert made.queue.calls("receive") == []
    with pytest.raises(requests.ConnectionError):
        made.probe("/health")


def full(worker: MakeWorker, **changes: Any) -> tuple[Worker, list[str], list[str]]:
    """A worker whose threads both stand still, and three more that wait: ids of each."""
    made = worker(**changes)
    made.work.stand_still("rsv_1", "rsv_2")
    running = made.send("rsv_1", "rsv_2")
    waiting = made.send("rsv_3", "rsv_4", "rsv_1")
    made.app.start()
    eventually(
        lambda: (
            made.app.pipeline.dispatcher.in_flight == 5 and made.app.pipeline.dispatcher.busy == 2
        )
    )
    return made, running, waiting


def test_the_stop_gives_back_what_waits_at_once_and_lets_finish_what_runs(
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


def test_a_stop_for_which_the_system_has_no_thread_left_gives_back_what_waits_all_the_same(
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
    eventually(lambda: not made.app.pipeline.poller._thread.is_alive())
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


def test_what_hangs_is_fenced_and_given_back_when_its_call_must_be_over(
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
    # No other pod is to work beside the call in flight; the rest is anybody's at once.
    assert CALL / 2 < made.queue.hidden_for(in_call) < CALL
    assert made.queue.hidden_for(between_calls) == made.queue.hidden_for(waiting) == 0
    # What hung goes on: it may not call any more.
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


def test_a_settlement_that_hangs_makes_the_stop_return_one(worker: MakeWorker) -> None:
    made, _, _ = full(worker, shutdown_timeout=1.0)
    made.work.then = lambda event, neighbours: Retry("down")
    made.queue.during("change_visibility", lambda: None)  # what waits is given back
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


def test_what_cannot_be_given_back_makes_the_stop_return_one(worker: MakeWorker) -> None:
    made, _, waiting = full(worker)
    made.queue.fail("change_visibility")
    stopping = made.stopping()
    made.work.let_go()
    assert stopping.code() == 1
    assert made.queue.left() == waiting


def test_a_long_poll_is_let_run_and_what_it_brings_is_given_back(worker: MakeWorker) -> None:
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
        polling = made.app.pipeline.poller._thread.is_alive()
        seen.append((deleted, polling, made.probe("/ready")[0], made.probe("/health")[0]))

    made.app.tracing.shutdown = shutdown  # type: ignore[method-assign]
    stopping = made.stopping()
    made.work.let_go()
    assert stopping.code() == 0
    assert seen == [(running, False, 503, 200)]
    assert made.queue.left() == waiting
