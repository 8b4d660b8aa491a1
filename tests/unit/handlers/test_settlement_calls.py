"""The contents of the calls, their keys, and the guard of quantity releases."""

from dataclasses import replace

import pytest

from reservation_worker.clients.ports import StatusAnswer, StatusChange
from reservation_worker.events.kinds import Kind
from reservation_worker.events.parse import Event, TraceHints
from reservation_worker.outcome import Ack, Reject
from tests.unit.handlers.scene import (
    INVENTORY,
    RELEASES,
    RID,
    SEATS,
    TARGET,
    Scene,
    event,
    no_for_good,
)

# The contents of the PATCH and the commit.


@pytest.mark.parametrize(
    ("what", "change"),
    [
        (
            event(Kind.EXPIRED, payment_intent_id="pay_1", order_id="ord_1", error_code="E"),
            StatusChange(RID, "EXPIRED"),
        ),
        (event(Kind.APPROVED), StatusChange(RID, "CONFIRMED", payment_intent_id="pay_1")),
        (
            event(Kind.APPROVED, order_id="ord_1", error_code="E"),
            StatusChange(RID, "CONFIRMED", payment_intent_id="pay_1", order_id="ord_1"),
        ),
        (
            event(Kind.APPROVED, payment_intent_id=None),
            StatusChange(RID, "CONFIRMED"),
        ),
        (
            event(Kind.FAILED, order_id="ord_1"),
            StatusChange(
                RID, "CANCELLED", cancel_reason="payment_failed", error_code="CARD_DECLINED"
            ),
        ),
        (
            event(Kind.FAILED, error_code=None),
            StatusChange(RID, "CANCELLED", cancel_reason="payment_failed"),
        ),
    ],
)
def test_the_patch_carries_the_fields_of_its_state(
    scene: Scene, what: Event, change: StatusChange
) -> None:
    scene.handle(what)
    assert scene.api.journal[0].about == change


def test_the_commits_order_id_is_for_the_log_and_is_not_patched(scene: Scene) -> None:
    assert scene.handle(event(Kind.APPROVED)) == Ack(
        "settled", order_id="ord_rsv_1", seat_ids=("A1", "A2")
    )
    assert scene.calls == ["PATCH", "commit"]


def test_an_unknown_user_is_sent_as_none_at_all(scene: Scene) -> None:
    scene.handle(event(Kind.APPROVED, user_id=None))
    assert scene.moved == [("commit", (SEATS, "pay_1", ""))]


# Keys: by the effect alone.


@pytest.mark.parametrize("kind", Kind)
def test_a_duplicate_and_a_retry_carry_the_same_keys_and_change_nothing_more(
    scene: Scene, kind: Kind
) -> None:
    keys = [f"status:{TARGET[kind]}:rsv_1", f"{INVENTORY[kind][0]}:rsv_1"]
    first = event(kind, seat_ids=(), qty=3)
    duplicate = replace(first, id="evt_2", trace=TraceHints(trace_ids=("t2",)))
    outcomes = [scene.handle(what) for what in (first, first, duplicate)]
    assert all(isinstance(outcome, Ack) for outcome in outcomes)
    assert [called.key for called in scene.api.journal] == keys * 3
    pool = scene.inventory.pools["concert"]
    freed, sold = (3, 0) if kind in RELEASES else (0, 3)
    assert (pool.available, sum(pool.sold.values())) == (freed, sold)


def test_two_event_types_with_the_same_effect_carry_the_same_key(scene: Scene) -> None:
    for kind in RELEASES:
        scene.answers(StatusAnswer(True, TARGET[kind]))
        scene.handle(event(kind, seat_ids=(), qty=3))
    keys = [c.key for c in scene.api.journal if c.name == "release"]
    assert keys == ["release:rsv_1"] * len(RELEASES)
    assert scene.inventory.pools["concert"].available == 3


# A quantity release that inventory-svc may not know again.


@pytest.mark.parametrize("kind", RELEASES)
def test_a_quantity_release_whose_key_may_be_forgotten_is_not_sent(
    scene: Scene, kind: Kind
) -> None:
    scene.forgotten = lambda replayed: True
    outcome = scene.handle(event(kind, seat_ids=(), qty=3))
    assert no_for_good(kind, outcome)
    assert isinstance(outcome, Reject)
    assert "INVENTORY_KEY_TTL" in outcome.error
    assert "Check in inventory-svc" in outcome.error
    assert scene.moved == []


@pytest.mark.parametrize("replayed", [False, True])
def test_whether_the_patch_was_a_replay_decides_on_the_key(scene: Scene, replayed: bool) -> None:
    asked: list[bool] = []
    scene.forgotten = lambda was_replay: bool(asked.append(was_replay))
    if replayed:
        scene.answers(StatusAnswer(done=False, status="EXPIRED"))
    assert isinstance(scene.handle(event(Kind.EXPIRED, seat_ids=(), qty=3)), Ack)
    assert asked == [replayed]


@pytest.mark.parametrize("kind", Kind)
def test_releases_by_seat_and_commits_need_no_key(scene: Scene, kind: Kind) -> None:
    scene.forgotten = lambda replayed: True
    assert isinstance(scene.handle(event(kind)), Ack)
    assert len(scene.moved) == 1
