"""Answers count for the breaker and as evidence; keys that inventory-svc may have forgotten."""

from dataclasses import replace

import pytest

from reservation_worker.errors import (
    BreakerOpen,
    LeaseLost,
    PermanentError,
    TransientError,
)
from reservation_worker.pipeline.neighbours import INVENTORY, RESERVATION_API
from reservation_worker.resilience.breaker import FIRST_OPEN, State
from tests.unit.pipeline.neighbours_rig import (
    CHANGE,
    KEY_TTL,
    SEATS,
    TIMEOUT,
    VISIBILITY,
    NeighboursRig,
)

YOUNG = KEY_TTL - TIMEOUT - 1
"""The age of a message whose release still ends while its key is known, in seconds."""


def test_transient_answers_open_the_breaker_of_their_neighbour_alone() -> None:
    rig = NeighboursRig()
    rig.fail(TransientError("refused"))
    for _ in range(10):
        with pytest.raises(TransientError):
            rig.calls().update_status(CHANGE)
    assert rig.states == {RESERVATION_API: State.OPEN, INVENTORY: State.CLOSED}
    rig.neighbour.during = lambda: None
    rig.calls().release(SEATS, "EXPIRED")


@pytest.mark.parametrize("error", [PermanentError("no")])
def test_permanent_answers_never_open_a_breaker(error: Exception) -> None:
    rig = NeighboursRig()
    rig.fail(error)
    for _ in range(40):
        with pytest.raises(type(error)):
            rig.calls().commit(SEATS, "pay_1", "")
    assert set(rig.states.values()) == {State.CLOSED}


def open_breaker(rig: NeighboursRig, name: str) -> None:
    breaker = rig.breakers[name]
    for number in range(10):
        breaker.record(breaker.admit(), f"m{number}", ok=False)


def test_while_the_breaker_is_open_no_call_starts() -> None:
    rig = NeighboursRig()
    calls = rig.calls()
    open_breaker(rig, INVENTORY)
    rig.clock.advance(2)
    with pytest.raises(BreakerOpen) as caught:
        calls.release(SEATS, "EXPIRED")
    assert caught.value.retry_after == FIRST_OPEN - 2
    assert rig.neighbour.asked == []
    calls.update_status(CHANGE)


def test_a_call_that_the_lease_forbids_does_not_count_for_the_breaker() -> None:
    rig = NeighboursRig()
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
    rig = NeighboursRig()
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
        (1, True, YOUNG, 0, KEY_TTL, False),
        (1, True, YOUNG + 1, 0, KEY_TTL, True),
        (2, False, 1_000, YOUNG, KEY_TTL, False),
        (2, False, 1_000, YOUNG + 1, KEY_TTL, True),
        (2, True, 1_000, YOUNG, KEY_TTL, False),
        (2, False, None, None, KEY_TTL, True),
        (1, True, None, None, KEY_TTL, True),
        (9, True, 1_000, 1_000, 0, False),
    ],
)
def test_a_key_may_be_forgotten_when_a_repeat_may_end_after_the_keys_lifetime(
    receives: int,
    replayed: bool,
    sent: float | None,
    first: float | None,
    ttl: float,
    forgotten: bool,
) -> None:
    rig = NeighboursRig()
    calls = rig.calls()
    message = replace(
        calls.delivery.message,
        receive_count=receives,
        since_sent=sent,
        since_first_receive=first,
    )
    calls = replace(calls, delivery=replace(calls.delivery, message=message), key_ttl=ttl)
    assert calls.key_may_be_forgotten(replayed) is forgotten


def test_a_call_asks_its_breaker_after_its_lease_was_renewed() -> None:
    rig = NeighboursRig()
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
