"""Every call of a neighbour goes under lease, deadline and span."""

from collections.abc import Callable
from typing import Any

import pytest

from reservation_worker.clients.ports import (
    Reservation,
    StatusAnswer,
)
from reservation_worker.errors import (
    LeaseLost,
    LeaseTooShort,
    PermanentError,
    TransientError,
)
from reservation_worker.pipeline.neighbours import RESERVATION_API, GuardedNeighbours
from tests.unit.pipeline.neighbours_rig import (
    CHANGE,
    SEATS,
    TIMEOUT,
    VISIBILITY,
    NeighboursRig,
)

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
def test_a_call_hands_on_arguments_answer_and_trace(
    call: Callable[[GuardedNeighbours], object], asked: tuple[Any, ...], answer: object, span: str
) -> None:
    rig = NeighboursRig()
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
    rig = NeighboursRig()
    calls = rig.calls()
    rig.clock.advance(VISIBILITY)
    with pytest.raises(LeaseLost):
        call(calls)
    assert rig.neighbour.asked == []


@pytest.mark.parametrize("call", [each[0] for each in EACH.values()], ids=EACH)
def test_after_the_stop_has_given_a_message_back_no_call_starts(
    call: Callable[[GuardedNeighbours], object],
) -> None:
    rig = NeighboursRig()
    calls = rig.calls()
    rig.leases.fence(calls.delivery.lease)
    with pytest.raises(LeaseLost):
        call(calls)
    assert rig.neighbour.asked == []


def test_a_call_may_take_its_timeout() -> None:
    rig = NeighboursRig()
    rig.calls().update_status(CHANGE)
    assert [one.timeout for one in rig.neighbour.contexts] == [TIMEOUT]


def test_the_lease_is_renewed_before_a_call_that_would_outlast_it() -> None:
    rig = NeighboursRig()
    calls = rig.calls()
    rig.clock.advance(VISIBILITY - 1)
    calls.update_status(CHANGE)
    assert len(rig.queue.calls("change_visibility")) == 1
    assert [one.timeout for one in rig.neighbour.contexts] == [TIMEOUT]


def test_a_call_is_not_started_under_a_short_lease_that_cannot_be_renewed() -> None:
    rig = NeighboursRig()
    calls = rig.calls()
    rig.queue.fail("change_visibility")
    rig.clock.advance(VISIBILITY - 1)
    with pytest.raises(LeaseTooShort):
        calls.update_status(CHANGE)
    assert rig.neighbour.asked == []


def test_the_fence_returns_how_long_a_call_is_still_in_flight() -> None:
    rig = NeighboursRig()
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
def test_a_failed_call_is_no_longer_in_flight_and_its_error_is_handed_on(
    error: Exception,
) -> None:
    rig = NeighboursRig()
    calls = rig.calls()
    rig.fail(error)
    with pytest.raises(type(error)) as caught:
        calls.update_status(CHANGE)
    assert caught.value is error
    assert rig.leases.fence(calls.delivery.lease) == 0


@pytest.mark.parametrize(
    ("held_up", "error"), [(VISIBILITY, LeaseLost), (TIMEOUT, LeaseTooShort), (TIMEOUT - 1, None)]
)
def test_a_call_that_was_held_up_between_its_check_and_its_start_is_not_sent_too_late(
    held_up: float, error: type[Exception] | None
) -> None:
    rig = NeighboursRig()
    calls = rig.calls()
    left: list[float] = []

    def freeze() -> None:
        rig.clock.advance(held_up)
        left.append(rig.neighbour.contexts[-1].begin())

    rig.neighbour.during = freeze
    if error is None:
        calls.update_status(CHANGE)
        assert left == [TIMEOUT - held_up]
        return
    with pytest.raises(error):
        calls.update_status(CHANGE)
    assert left == []
    # No answer of the neighbour, so none for its breaker or the evidence.
    assert not rig.evidence.against(RESERVATION_API, "another", None)
    assert rig.leases.fence(calls.delivery.lease) == 0
