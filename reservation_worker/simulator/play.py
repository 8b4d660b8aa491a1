"""Runs a scenario on a whole system, with an outage in the middle, and reconciles it."""

import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from reservation_worker.simulator.metrics import Metrics
from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.processes.child import ChildError
from reservation_worker.simulator.processes.ports import free_ports
from reservation_worker.simulator.processes.stack import Stack
from reservation_worker.simulator.reconcile.report import Report
from reservation_worker.simulator.story.scenario import Scenario, build

OUTAGE_SECONDS = 2.0
_GLANCE = 0.1


class PlayError(Exception):
    """The run did not end in time; the text has its progress."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The stage of the run, and how many of all events are settled."""

    stage: str
    settled: int
    total: int


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one run and its reconciliation."""

    events: int
    seconds: float
    best_second: float
    metrics: Metrics
    report: Report
    character: Character = Character.CONTRACT
    worker_exit_code: int | None = None

    @property
    def ok(self) -> bool:
        """It reconciles, and the worker, if stopped, exited with 0."""
        return self.report.ok and self.worker_exit_code in (0, None)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "ok": self.ok,
            "character": self.character.value,
            "events": self.events,
            "seconds": round(self.seconds, 2),
            "events_per_second": round(self.events / self.seconds, 1),
            "events_in_best_second": round(self.best_second),
            "outage_seconds": OUTAGE_SECONDS,
            "outcomes": self.metrics.outcomes(),
            "latency_ms": self.metrics.latencies_ms(),
            "retries": self.metrics.retries(),
            "worker_exit_code": self.worker_exit_code,
            "reconciliation": self.report.as_dict(),
        }


class Play:
    """One run: enter, `play`, then `stop_worker` and `result`. Leaving ends all processes."""

    def __init__(
        self,
        directory: Path,
        events: int = 1000,
        latency_ms: float = 40,
        seed: int = 0,
        watch: Callable[[Progress], None] = lambda progress: None,
        character: Character = Character.CONTRACT,
    ) -> None:
        self.scenario: Scenario = build(events, seed)
        self.stack = Stack(latency_ms, latency_ms / 8, directory=directory, character=character)
        self._watch = watch
        # Generous: five calls an event one after the other, and a minute for the outage.
        self._limit = 60 + events * (0.05 + 5 * latency_ms / 20_000)
        self._seconds = 0.0
        self._best_second = 0.0
        self._exit_code: int | None = None
        self._metrics = Metrics()
        self._recent: deque[tuple[float, int]] = deque()
        self._settled = 0

    def __enter__(self) -> Self:
        self._say("starting the queue, the neighbours and the worker")
        with ExitStack() as undo:
            undo.enter_context(self.stack)
            self.stack.neighbours.seed(self.scenario.seeds, self.scenario.pools)
            server, debug = map(str, free_ports(2))
            env = {"SERVER_PORT": server, "GRPC_DEBUG_PORT": debug}
            self.worker = self.stack.worker(env).start()
            self.worker.ready()
            undo.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)

    def play(self) -> None:
        """Publish everything and wait until it is settled. Raises PlayError, ChildError."""
        began = time.monotonic()
        deadline = began + self._limit
        messages = self.scenario.phase(0)
        half = (len(messages) + 1) // 2
        self._say("settling")
        self.stack.publish(messages[:half])
        self._until(lambda: self._settled >= half / 2, deadline)
        back = time.monotonic() + OUTAGE_SECONDS
        if self.stack.character is Character.TODAY:
            self.stack.neighbours.trouble("inventory")
            self._say(f"inventory answers INTERNAL for {OUTAGE_SECONDS:g} s")
        else:
            self.stack.neighbours.down("inventory")
            self._say(f"inventory is down for {OUTAGE_SECONDS:g} s")
        self.stack.publish(messages[half:])
        self._until(lambda: time.monotonic() >= back, deadline)
        self.stack.neighbours.clear("inventory")
        self._say("inventory is back")
        self._until(self._nothing_left, deadline)
        self.stack.publish(self.scenario.phase(1))
        self._say("the late payments")
        self._until(self._nothing_left, deadline)
        self._seconds = time.monotonic() - began

    def stop_worker(self) -> None:
        """Stop the worker by SIGTERM and note its exit code."""
        self._say("stopping the worker")
        self.worker.stop(timeout=40)
        self._exit_code = self.worker.wait(0)

    def result(self) -> Result:
        """Reconcile, and return all figures."""
        self._say("reconciling")
        return Result(
            len(self.scenario.messages),
            self._seconds,
            self._best_second,
            self._metrics,
            self.stack.reconcile(self.scenario),
            self.stack.character,
            self._exit_code,
        )

    def _until(self, done: Callable[[], bool], deadline: float) -> None:
        while True:
            self._look()
            if done():
                return
            if time.monotonic() > deadline:
                raise PlayError(
                    f"gave up after {self._limit:.0f} s: {self._settled} of"
                    f" {len(self.scenario.messages)} events are settled, {self.stack.depth()} are"
                    f" in the queue, {self._metrics.value('worker_in_flight'):.0f} in flight"
                )
            time.sleep(_GLANCE)

    def _look(self) -> None:
        if not self.worker.alive:
            raise ChildError(str(self.worker.error("ended in the middle of the run")))
        now = time.monotonic()
        self._metrics = self.worker.metrics()
        self._settled = self._metrics.settled()
        self._recent.append((now, self._settled))
        while now - self._recent[0][0] > 1:
            then, settled = self._recent.popleft()
            rate = (self._settled - settled) / (now - then)
            self._best_second = max(self._best_second, rate)
        self._say(self._stage)

    def _nothing_left(self) -> bool:
        return self._metrics.value("worker_in_flight") == 0 and self.stack.depth() == 0

    def _say(self, stage: str) -> None:
        self._stage = stage
        total = len(self.scenario.messages)
        self._watch(Progress(stage, min(self._settled, total), total))
