"""Guarded neighbours in front of a scripted one."""

from collections.abc import Callable
from functools import partial
from typing import Any

from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reservation_worker.clients.ports import (
    CallContext,
    Reservation,
    Seats,
    StatusAnswer,
    StatusChange,
)
from reservation_worker.events.parse import TraceHints
from reservation_worker.observability.tracing import Tracing, read_trace
from reservation_worker.pipeline.breakers import Breakers, ProbedBreaker
from reservation_worker.pipeline.leases import Leases
from reservation_worker.pipeline.neighbours import INVENTORY, RESERVATION_API, GuardedNeighbours
from reservation_worker.resilience.breaker import Breaker, State
from reservation_worker.resilience.evidence import Evidence
from tests.fake_queue import FakeClock, FakeQueue, event_body, new_metrics, opened

VISIBILITY = 30


TIMEOUT = 10.0


TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


CHANGE = StatusChange("rsv_1", "EXPIRED")


SEATS = Seats("rsv_1", "evt_1", ("A1",), 1)


KEY_TTL = 300.0


class Neighbour:
    """Both ports in one: notes each call, and runs `during` in it."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.contexts: list[CallContext] = []
        self.during: Callable[[], object] = lambda: None

    def _answer(self, context: CallContext, *asked: Any) -> None:
        self.asked.append(asked)
        self.contexts.append(context)
        self.during()

    def update_status(self, change: StatusChange, call: CallContext) -> StatusAnswer:
        self._answer(call, "PATCH", change)
        return StatusAnswer(done=True)

    def get(self, reservation_id: str, call: CallContext) -> Reservation | None:
        self._answer(call, "GET", reservation_id)
        return Reservation("HOLD")

    def release(self, seats: Seats, reason: str, call: CallContext) -> None:
        self._answer(call, "release", seats, reason)

    def commit(
        self, seats: Seats, payment_intent_id: str, user_id: str, call: CallContext
    ) -> str | None:
        self._answer(call, "commit", seats, payment_intent_id, user_id)
        return "ord_1"

    def probe(self, timeout: float) -> None: ...


class NeighboursRig:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.queue = FakeQueue(self.clock, VISIBILITY)
        self.leases = Leases(self.queue, VISIBILITY, self.clock, new_metrics())
        self.neighbour = Neighbour()
        names = (RESERVATION_API, INVENTORY)
        self.breakers = {name: Breaker(name, self.clock, lambda: 0.5) for name in names}
        self.spans = InMemorySpanExporter()
        self.evidence = Evidence(self.clock)
        self.guard = Breakers(
            {name: ProbedBreaker(self.breakers[name], self.neighbour.probe) for name in names}
        )
        self.guarded = partial(
            GuardedNeighbours,
            reservation_api=self.neighbour,
            inventory=self.neighbour,
            breakers=self.guard,
            evidence=self.evidence,
            leases=self.leases,
            tracing=Tracing("pod", "queue", SimpleSpanProcessor(self.spans)),
            timeout=TIMEOUT,
            key_ttl=KEY_TTL,
            clock=self.clock,
        )

    def calls(self) -> GuardedNeighbours:
        """The calls of a message that has just been received."""
        self.queue.send(event_body())
        [message] = self.queue.receive(1, 0)
        delivery = opened(message, self.clock(), self.leases.open)
        trace = read_trace(TraceHints(traceparents=(TRACEPARENT,), trace_ids=("trace_abc",)), None)
        return self.guarded(delivery, trace)

    def fail(self, error: Exception) -> None:
        def during() -> None:
            raise error

        self.neighbour.during = during

    @property
    def states(self) -> dict[str, State]:
        return self.guard.states()
