"""Facts that the event does not have: docs/contract.md#filling-in."""

from dataclasses import replace
from typing import Any

import pytest

from reservation_worker.clients.ports import Reservation, Seats
from reservation_worker.errors import TransientError
from reservation_worker.events.kinds import Kind
from reservation_worker.outcome import Ack
from tests.fakes import TRUTH
from tests.unit.handlers.scene import (
    FACTS,
    INVENTORY,
    LOSING,
    PAID,
    RID,
    SEATS,
    STATE_IN_409,
    STATE_IN_GET,
    TARGET,
    Scene,
    compensation,
    event,
    no_for_good,
    refuse,
)

MISSING = {
    "event_id": {"event_id": None},
    "seat_ids and qty": {"seat_ids": None, "qty": None},
    "seat_ids, qty is there": {"seat_ids": None},
    "all": {"event_id": None, "seat_ids": None, "qty": None},
    "qty of general admission": {"seat_ids": (), "qty": None},
}


@pytest.mark.parametrize("missing", MISSING.values(), ids=MISSING)
@pytest.mark.parametrize("kind", Kind)
def test_missing_facts_are_asked_for_once_and_after_the_patch(
    scene: Scene, kind: Kind, missing: dict[str, Any]
) -> None:
    assert isinstance(scene.handle(event(kind, **missing)), Ack)
    assert scene.calls == ["PATCH", "GET", INVENTORY[kind][0]]
    assert scene.moved == [INVENTORY[kind]]


@pytest.mark.parametrize("missing", MISSING.values(), ids=MISSING)
@pytest.mark.parametrize("kind", Kind)
def test_the_get_of_a_409_brings_the_missing_facts_too(
    scene: Scene, kind: Kind, missing: dict[str, Any]
) -> None:
    refuse(scene, TARGET[kind], STATE_IN_GET)
    assert isinstance(scene.handle(event(kind, **missing)), Ack)
    assert scene.calls == ["PATCH", "GET", INVENTORY[kind][0]]
    assert scene.moved == [INVENTORY[kind]]


@pytest.mark.parametrize(("kind", "state"), LOSING)
def test_missing_facts_are_not_asked_for_when_inventory_is_not_due(
    scene: Scene, kind: Kind, state: str
) -> None:
    refuse(scene, state, STATE_IN_409)
    scene.handle(event(kind, event_id=None, seat_ids=None, qty=None))
    assert scene.calls == ["PATCH"]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"qty": None}, SEATS),
        ({"qty": 5}, SEATS),  # the seats win
        ({"seat_ids": (), "qty": 3}, Seats(RID, "concert", (), 3)),
    ],
)
def test_sufficient_facts_are_not_asked_for(
    scene: Scene, given: dict[str, Any], sent: Seats
) -> None:
    assert isinstance(scene.handle(event(Kind.EXPIRED, **given)), Ack)
    assert scene.calls == ["PATCH", "release"]
    assert scene.moved == [("release", (sent, "EXPIRED"))]


@pytest.mark.parametrize(
    ("given", "seen", "sent"),
    [
        # The event's facts stay; only missing ones are filled in.
        (
            {"event_id": None},
            Reservation("EXPIRED", "concert", ("B1",), 1),
            Seats(RID, "concert", ("A1", "A2"), 2),
        ),
        (
            {"event_id": "encore", "seat_ids": None},
            Reservation("EXPIRED", "concert", ("B1",), 1),
            Seats(RID, "encore", ("B1",), 1),
        ),
        (
            {"seat_ids": None, "qty": None},
            Reservation("EXPIRED", "concert", (), 3),
            Seats(RID, "concert", (), 3),
        ),
        (
            {"seat_ids": None, "qty": 3},
            Reservation("EXPIRED", "concert", (), None),
            Seats(RID, "concert", (), 3),
        ),
        # A quantity that does not fit the seats gives way.
        (
            {"seat_ids": None, "qty": 9},
            Reservation("EXPIRED", "concert", ("B1", "B2"), 1),
            Seats(RID, "concert", ("B1", "B2"), 2),
        ),
    ],
)
def test_the_reservation_fills_in_missing_facts(
    scene: Scene, given: dict[str, Any], seen: Reservation, sent: Seats
) -> None:
    scene.answers(TRUTH, seen)
    assert isinstance(scene.handle(event(Kind.EXPIRED, **given)), Ack)
    assert scene.moved == [("release", (sent, "EXPIRED"))]


STILL_MISSING = {
    "404": None,
    "no event_id": Reservation("EXPIRED", None, ("A1",), 1),
    "no seats": Reservation("EXPIRED", "concert", None, 2),
    "no seats, no quantity": Reservation("EXPIRED", "concert", (), None),
}


@pytest.mark.parametrize("seen", STILL_MISSING.values(), ids=STILL_MISSING)
@pytest.mark.parametrize("kind", Kind)
def test_facts_that_are_still_missing_are_a_no_for_good(
    scene: Scene, kind: Kind, seen: Reservation | None
) -> None:
    seen = seen and replace(seen, status=TARGET[kind])
    scene.answers(TRUTH, seen)
    outcome = scene.handle(event(kind, event_id=None, seat_ids=None, qty=None))
    assert no_for_good(kind, outcome)
    assert scene.calls == ["PATCH", "GET"]


@pytest.mark.parametrize("error", [TransientError("429", 7.0), TransientError("503")])
@pytest.mark.parametrize("kind", Kind)
def test_facts_that_can_not_be_had_now_are_asked_for_again_later(
    scene: Scene, kind: Kind, error: TransientError
) -> None:
    scene.answers(TRUTH, error)
    with pytest.raises(TransientError) as caught:
        scene.handle(event(kind, event_id=None))
    assert caught.value is error
    assert scene.moved == []


@pytest.mark.parametrize(("kind", "state"), LOSING)
def test_a_get_that_contradicts_the_patch_keeps_inventory_where_it_is(
    scene: Scene, kind: Kind, state: str
) -> None:
    scene.answers(TRUTH, replace(FACTS, status=state))
    outcome = scene.handle(event(kind, event_id=None))
    assert scene.moved == []
    assert compensation(outcome) if kind in PAID else outcome == Ack("superseded")
