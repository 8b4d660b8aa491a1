"""A whole worker on a fake queue, with scripted neighbours and handlers."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import requests

from reservation_worker import worker as worker_module
from reservation_worker.bootstrap import build
from reservation_worker.clients.ports import CallContext, StatusAnswer, StatusChange
from reservation_worker.config.settings import Settings
from reservation_worker.events.kinds import Kind
from reservation_worker.events.parse import Event
from reservation_worker.handlers.settlement import Neighbours
from reservation_worker.outcome import Ack, Outcome
from reservation_worker.sqs.facts import QueueFacts
from tests.fake_queue import PATIENCE, FakeQueue, event_body, eventually

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
    """Both ports: records each PATCH, and answers when a test allows it."""

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
    """A handler that blocks for chosen reservations until a test releases them."""

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
        """The status code, and the failing checks."""
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
    """Start a stop in a thread; returns when /ready has turned red."""

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


def full(worker: MakeWorker, **changes: Any) -> tuple[Worker, list[str], list[str]]:
    """A worker whose two threads block, and three more messages that wait: the ids of each."""
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
