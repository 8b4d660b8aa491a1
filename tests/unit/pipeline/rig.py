"""The parts around a completer and a processor, real but for the queue and the clocks."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reservation_worker.clock import Clocks
from reservation_worker.events.kinds import Kind
from reservation_worker.events.parse import Event
from reservation_worker.observability.tracing import Tracing
from reservation_worker.outcome import Completed, DeadLetterReason, Outcome, Reject, Retry
from reservation_worker.pipeline.breakers import Breakers, ProbedBreaker
from reservation_worker.pipeline.completer import Completer
from reservation_worker.pipeline.custody import Custody
from reservation_worker.pipeline.deleter import Deleter
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.leases import Leases
from reservation_worker.pipeline.neighbours import INVENTORY, RESERVATION_API, GuardedNeighbours
from reservation_worker.pipeline.processor import DEADLINE_CALLS, HANDLER, Processor
from reservation_worker.pipeline.reporter import Reporter
from reservation_worker.resilience.backoff import RetryPolicy
from reservation_worker.resilience.breaker import Breaker
from reservation_worker.resilience.evidence import Evidence
from reservation_worker.sqs.queue import Message
from tests.fake_queue import (
    PATIENCE,
    FakeClock,
    FakeQueue,
    event_body,
    eventually,
    new_metrics,
    opened,
    sample,
)

CALL = 10.0
TRIES = 6
WALL = 1_767_323_045.0
"""2026-01-02T03:04:05 UTC."""
OUTCOMES = ("success", "dropped", "retried", "failed", "invalid_payload")
PERMANENT = Reject(DeadLetterReason.PERMANENT_ERROR, "no seats")


class CompleterRig:
    """A completer; messages are received from `queue` and completed by hand."""

    visibility = 30

    def __init__(self, has_dlq: bool = True) -> None:
        self.clock = FakeClock()
        self.wall = WALL
        self.clocks = Clocks(self.clock, lambda: self.wall)
        self.queue = FakeQueue(self.clock, self.visibility, has_dlq=has_dlq)
        self.metrics = new_metrics()
        self.leases = Leases(self.queue, self.visibility, self.clock, self.metrics)
        self.custody = Custody(self.clock)
        self.deleter = Deleter(
            self.queue,
            self.custody,
            self.metrics,
            lambda delivery: self.leases.held(delivery.lease),
            linger=0.001,
        )
        self.deleter.start()
        self.memory = self.deleter.memory
        self.max_receive_count: int | None = None
        self.retries = RetryPolicy(1_000, TRIES - 1, lambda: self.max_receive_count)
        self.watched: list[Completed] = []
        self.watchers: list[Callable[[Completed], None]] = [self.watched.append]
        self.completer = Completer(
            self.queue,
            self.custody,
            self.leases,
            self.deleter,
            self.retries,
            Reporter(self.metrics, self.clocks, self.watchers),
            self.metrics,
            self.clocks,
        )

    def end(self) -> None:
        self.deleter.stop(PATIENCE)

    def received(self, *bodies: str, times: int = 1, **parts: Any) -> list[Delivery]:
        """Deliveries of new messages, each received for the `times`-th time."""
        ids = {self.queue.send(body, **parts) for body in bodies or (event_body(),)}
        for _ in range(times - 1):
            self.queue.change_visibility([one.receipt for one in self._receive(ids)], 0)
        messages = self._receive(ids)
        self.queue.forget_calls()
        return [self.take(message) for message in messages]

    def take(self, message: Message) -> Delivery:
        """The delivery of a message that was just received."""
        delivery = opened(message, self.clock(), self.leases.open)
        self.custody.take([delivery])
        return delivery

    def _receive(self, ids: set[str]) -> list[Message]:
        found: list[Message] = []
        while len(found) < len(ids):
            found += self.queue.receive(10, 0)
        assert {message.id for message in found} == ids
        return found

    def complete(self, outcome: Outcome, body: str | None = None, times: int = 1) -> Delivery:
        """Complete a new message; one that is to be deleted is deleted when this returns."""
        [delivery] = self.received(body or event_body(), times=times)
        self.completer.complete(delivery, outcome)
        if not isinstance(outcome, Retry):
            self.flush()
        return delivery

    def flush(self) -> None:
        """Wait until everything that was completed is deleted."""
        eventually(lambda: not self.custody.open())

    def hidden_for(self, outcome: Outcome, times: int = 1) -> float:
        return self.queue.hidden_for(self.complete(outcome, times=times).message.id)

    def count(self, name: str, **labels: str) -> float:
        return sample(self.metrics, name, **labels)

    def events(self, kind: str = "expired") -> dict[str, float]:
        """The outcomes counted so far."""
        found = {one: self.count("worker_events_total", type=kind, outcome=one) for one in OUTCOMES}
        return {outcome: value for outcome, value in found.items() if value}

    @property
    def dead(self) -> list[str]:
        """The reasons of the dead letters."""
        return [one.attributes["dlq_reason"]["StringValue"] for one in self.queue.dlq]


class ProcessorRig(CompleterRig):
    """A processor; `handler` stands for all three settlement rules, and calls no neighbour."""

    visibility = 60

    def __init__(self, handler: Callable[[Event], Outcome]) -> None:
        super().__init__()
        self.max_receive_count = 30
        self.handled: list[Event] = []
        self.taken = 0
        self.spans = InMemorySpanExporter()
        self.breakers = {
            name: Breaker(name, self.clock, lambda: 0.5) for name in (RESERVATION_API, INVENTORY)
        }
        self.guard = Breakers(
            {name: ProbedBreaker(one, lambda timeout: None) for name, one in self.breakers.items()}
        )
        self.evidence = Evidence(self.clock)
        tracing = Tracing("pod", "queue", SimpleSpanProcessor(self.spans))
        nobody: Any = None

        def handle(event: Event, neighbours: object) -> Outcome:
            self.handled.append(event)
            return handler(event)

        self.processor = Processor(
            dict.fromkeys(Kind, handle),
            partial(
                GuardedNeighbours,
                reservation_api=nobody,
                inventory=nobody,
                breakers=self.guard,
                evidence=self.evidence,
                leases=self.leases,
                tracing=tracing,
                timeout=CALL,
                key_ttl=300,
                clock=self.clock,
            ),
            self.guard,
            self.evidence,
            self.leases,
            self.completer,
            self.retries,
            tracing,
            self.metrics,
            self.clocks,
            DEADLINE_CALLS * CALL,
        )

    def take(self, message: Message) -> Delivery:
        self.taken += 1
        return super().take(message)

    def process(self, body: str | None = None, times: int = 1, **parts: Any) -> Delivery:
        """Receive a new message for the `times`-th time, and process it."""
        [delivery] = self.received(body or event_body(), times=times, **parts)
        self.run(delivery)
        return delivery

    def run(self, delivery: Delivery) -> None:
        """Process a delivery; returns when its ending is proved."""
        self.processor.process(delivery)
        eventually(lambda: self.custody.endings.total() + self._given_up() == self.taken)

    def run_failing_for(self, seconds: float) -> None:
        """The last try of a message that was first received `seconds` ago."""
        [delivery] = self.received(times=TRIES)
        delivery.message = replace(delivery.message, since_first_receive=seconds)
        self.run(delivery)

    def _given_up(self) -> float:
        return self.count("worker_delete_failures_total")

    def answer_others(self) -> None:
        """Everything that a message can fail at has just served another message well."""
        for name in (RESERVATION_API, INVENTORY, HANDLER):
            self.evidence.add(name, "another")

    def open_breaker(self, name: str = INVENTORY) -> None:
        breaker = self.breakers[name]
        for number in range(10):
            breaker.record(breaker.admit(), f"m{number}", ok=False)

    def runs(self) -> dict[tuple[str, str], float]:
        """How many handler runs were measured, by handler and outcome."""
        [family] = [
            one
            for one in self.metrics.registry.collect()
            if one.name == "worker_processing_duration_seconds"
        ]
        return {
            (one.labels["handler"], one.labels["outcome"]): one.value
            for one in family.samples
            if one.name.endswith("_count") and one.value
        }


MakeRig = Callable[[Callable[[Event], Outcome]], ProcessorRig]


def raising(error: Exception) -> Callable[[Event], Outcome]:
    """A handler that always fails."""

    def handler(event: Event) -> Outcome:
        raise error

    return handler
