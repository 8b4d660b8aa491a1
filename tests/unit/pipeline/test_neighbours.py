"""Every call of a neighbour goes under lease, breaker, deadline and span."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reservation_worker.clients.ports import (
    CallContext,
    Reservation,
    Seats,
    StatusAnswer,
    StatusChange,
)
from reservation_worker.errors import (
    BreakerOpen,
    LeaseLost,
    LeaseTooShort,
    PermanentError,
    TransientError,
)
from reservation_worker.events.parse import TraceHints
from reservation_worker.observability.tracing import Tracing, read_trace
from reservation_worker.pipeline.breakers import Breakers, ProbedBreaker
from reservation_worker.pipeline.leases import Leases
from reservation_worker.pipeline.neighbours import INVENTORY, RESERVATION_API, GuardedNeighbours
from reservation_worker.resilience.breaker import FIRST_OPEN, Breaker, State
from reservation_worker.resilience.evidence import Evidence
from tests.fake_queue import FakeClock, FakeQueue, event_body, new_metrics, opened

VISIBILITY = 30
TIMEOUT = 10.0
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CHANGE = StatusChange("rsv_1", "EXPIRED")
SEATS = Seats("rsv_1", "evt_1", ("A1",), 1)

KEY_TTL = 300.0


class Neighbour:
    """Both ports in one: notes what it is asked, and does what the test says."""

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


class Rig:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.queue = FakeQueue(self.clock, VISIBILITY)
        self.leases = Leases(self.queue, VISIBILITY, self.clock, new_metrics())
        self.neighbour = Neighbour()
        names = (RESERVATION_API, INVENTORY)
        self.breakers = {name: Breaker(name, self.clock, lambda: 0.5) for name in names}
        self.spans = InMemorySpanExporter()
        self.evidence = Evidence(self.clock)
        self.wall = 10_000.0
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
            wall_clock=lambda: self.wall,
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


EACH: dict[str, tuple[Callable[[GuardedNeighbours], object], tuple[Any, ...], object, str]] = {
    "PATCH": (
        lambda calls: calls.update_status(CHANGE),
        ("PATCH", CHANGE),
        StatusAnswer(done=True),
        "update_status_http",
    ),
    "GET": (
        lambda calls: calls.get("rsv_1"),
        ("GET", "rsv_1"),
        Reservation("HOLD"),
        "get_reservation_http",
    ),
    "release": (
        lambda calls: calls.release(SEATS, "EXPIRED"),
        ("release", SEATS, "EXPIRED"),
        None,
        "release_hold_grpc",
    ),
    "commit": (
        lambda calls: calls.commit(SEATS, "pay_1", "usr_1"),
        ("commit", SEATS, "pay_1", "usr_1"),
        "ord_1",
        "commit_reservation_grpc",
    ),
}


@pytest.mark.parametrize(("call", "asked", "answer", "span"), EACH.values(), ids=EACH)
def test_a_call_hands_on_the_question_the_answer_and_the_trace(
    call: Callable[[GuardedNeighbours], object], asked: tuple[Any, ...], answer: object, span: str
) -> None:
    rig = Rig()
    assert call(rig.calls()) == answer
    assert rig.neighbour.asked == [asked]
    [context] = rig.neighbour.contexts
    [finished] = rig.spans.get_finished_spans()
    assert finished.name == span
    headers = dict(context.headers)
    assert headers["x-trace-id"] == "trace_abc"
    assert headers["traceparent"].split("-")[2] == f"{finished.context.span_id:016x}"


@pytest.mark.parametrize("call", [each[0] for each in EACH.values()], ids=EACH)
def test_without_the_lease_no_call_starts(call: Callable[[GuardedNeighbours], object]) -> None:
    rig = Rig()
    calls = rig.calls()
    rig.clock.advance(VISIBILITY)
    with pytest.raises(LeaseLost):
        call(calls)
    assert rig.neighbour.asked == []


@pytest.mark.parametrize("call", [each[0] for each in EACH.values()], ids=EACH)
def test_after_the_stop_has_given_a_message_back_no_call_starts(
    call: Callable[[GuardedNeighbours], object],
) -> None:
    rig = Rig()
    calls = rig.calls()
    rig.leases.fence(calls.delivery.lease)
    with pytest.raises(LeaseLost):
        call(calls)
    assert rig.neighbour.asked == []


def test_a_call_may_take_its_timeout() -> None:
    rig = Rig()
    rig.calls().update_status(CHANGE)
    assert [one.timeout for one in rig.neighbour.contexts] == [TIMEOUT]


def test_the_lease_is_renewed_before_a_call_that_would_outlast_it() -> None:
    rig = Rig()
    calls = rig.calls()
    rig.clock.advance(VISIBILITY - 1)
    calls.update_status(CHANGE)
    assert len(rig.queue.calls("change_visibility")) == 1
    assert [one.timeout for one in rig.neighbour.contexts] == [TIMEOUT]


def test_where_no_renewal_helps_a_call_is_not_started_either() -> None:
    rig = Rig()
    calls = rig.calls()
    rig.queue.fail("change_visibility")
    rig.clock.advance(VISIBILITY - 1)
    with pytest.raises(LeaseTooShort):
        calls.update_status(CHANGE)
    assert rig.neighbour.asked == []


def test_a_stop_can_see_until_when_a_call_is_in_flight() -> None:
    rig = Rig()
    calls = rig.calls()
    in_flight: list[float] = []

    def during() -> None:
        rig.clock.advance(3)
        in_flight.append(rig.leases.fence(calls.delivery.lease))

    rig.neighbour.during = during
    calls.update_status(CHANGE)
    assert in_flight == [TIMEOUT - 3]
    assert rig.leases.fence(calls.delivery.lease) == 0


@pytest.mark.parametrize("error", [TransientError("x"), PermanentError("x"), RuntimeError("a bug")])
def test_a_call_that_failed_is_in_flight_no_more_and_its_error_is_handed_on(
    error: Exception,
) -> None:
    rig = Rig()
    calls = rig.calls()
    rig.fail(error)
    with pytest.raises(type(error)) as caught:
        calls.update_status(CHANGE)
    assert caught.value is error
    assert rig.leases.fence(calls.delivery.lease) == 0


# The breaker.


def test_what_is_the_neighbours_fault_opens_its_breaker_and_only_its_own() -> None:
    rig = Rig()
    rig.fail(TransientError("refused"))
    for _ in range(10):
        with pytest.raises(TransientError):
            rig.calls().update_status(CHANGE)
    assert rig.states == {RESERVATION_API: State.OPEN, INVENTORY: State.CLOSED}
    rig.neighbour.during = lambda: None
    rig.calls().release(SEATS, "EXPIRED")


@pytest.mark.parametrize("error", [PermanentError("no")])
def test_what_is_the_messages_own_never_opens_a_breaker(error: Exception) -> None:
    rig = Rig()
    rig.fail(error)
    for _ in range(40):
        with pytest.raises(type(error)):
            rig.calls().commit(SEATS, "pay_1", "")
    assert set(rig.states.values()) == {State.CLOSED}


def open_breaker(rig: Rig, name: str) -> None:
    breaker = rig.breakers[name]
    for number in range(10):
        breaker.record(breaker.admit(), f"m{number}", ok=False)


def test_while_the_breaker_is_open_no_call_starts() -> None:
    rig = Rig()
    calls = rig.calls()
    open_breaker(rig, INVENTORY)
    rig.clock.advance(2)
    with pytest.raises(BreakerOpen) as caught:
        calls.release(SEATS, "EXPIRED")
    assert caught.value.retry_after == FIRST_OPEN - 2
    assert rig.neighbour.asked == []
    calls.update_status(CHANGE)


def test_a_call_that_the_lease_forbids_says_nothing_about_the_neighbour() -> None:
    rig = Rig()
    open_breaker(rig, INVENTORY)
    rig.clock.advance(FIRST_OPEN)
    rig.guard.probe_due_ones()
    assert rig.states[INVENTORY] is State.HALF_OPEN
    calls = rig.calls()
    rig.leases.fence(calls.delivery.lease)
    with pytest.raises(LeaseLost):
        calls.release(SEATS, "EXPIRED")
    # Neither a good call, which would raise the limit, nor a bad one.
    assert rig.guard.limit() == 1


# Evidence, and the keys that inventory-svc forgets.


def test_an_answer_is_evidence_against_other_messages_and_a_transient_one_is_not() -> None:
    rig = Rig()
    rig.calls().release(SEATS, "EXPIRED")
    assert rig.evidence.against(INVENTORY, "another", None)
    assert not rig.evidence.against(RESERVATION_API, "another", None)
    rig.fail(TransientError("internal"))
    with pytest.raises(TransientError) as caught:
        rig.calls().update_status(CHANGE)
    assert caught.value.neighbour == RESERVATION_API
    assert not rig.evidence.against(RESERVATION_API, "another", None)
    rig.fail(PermanentError("no"))
    with pytest.raises(PermanentError):
        rig.calls().update_status(CHANGE)
    assert rig.evidence.against(RESERVATION_API, "another", None)


@pytest.mark.parametrize(
    ("receives", "replayed", "sent", "first", "ttl", "forgotten"),
    [
        (1, False, 1_000, 1_000, KEY_TTL, False),
        (1, True, KEY_TTL - 1, 0, KEY_TTL, False),
        (1, True, KEY_TTL, 0, KEY_TTL, True),
        (2, False, 1_000, KEY_TTL - 1, KEY_TTL, False),
        (2, False, 1_000, KEY_TTL, KEY_TTL, True),
        (2, True, 1_000, KEY_TTL - 1, KEY_TTL, False),
        (2, False, None, None, KEY_TTL, True),
        (1, True, None, None, KEY_TTL, True),
        (9, True, 1_000, 1_000, 0, False),
    ],
)
def test_a_key_may_be_forgotten_when_a_repeat_is_older_than_the_keys_live(
    receives: int,
    replayed: bool,
    sent: float | None,
    first: float | None,
    ttl: float,
    forgotten: bool,
) -> None:
    rig = Rig()
    calls = rig.calls()
    message = replace(
        calls.delivery.message,
        receive_count=receives,
        sent_at=None if sent is None else rig.wall - sent,
        first_received_at=None if first is None else rig.wall - first,
    )
    calls = replace(calls, delivery=replace(calls.delivery, message=message), key_ttl=ttl)
    assert calls.key_may_be_forgotten(replayed) is forgotten


def test_a_call_asks_its_breaker_after_its_lease_was_renewed() -> None:
    rig = Rig()
    calls = rig.calls()
    rig.clock.advance(VISIBILITY - 1)

    def open_meanwhile() -> None:
        for number in range(10):
            breaker = rig.breakers[RESERVATION_API]
            breaker.record(breaker.admit(), f"m{number}", ok=False)

    rig.queue.during("change_visibility", open_meanwhile)
    with pytest.raises(BreakerOpen):
        calls.update_status(CHANGE)
    assert rig.neighbour.asked == []
    assert rig.leases.fence(calls.delivery.lease) == 0
