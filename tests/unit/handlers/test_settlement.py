"""Contract, section 4: the settlement rules, cell by cell and sentence by sentence.

The neighbours are the fakes; a test sets their next answers and looks at their common journal.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from reservation_worker.clients.ports import (
    FINAL_STATES,
    Reservation,
    Seats,
    StatusAnswer,
    StatusChange,
)
from reservation_worker.errors import PermanentError, TransientError
from reservation_worker.events.kinds import Commit, Kind, Release
from reservation_worker.events.parse import Event, TraceHints
from reservation_worker.handlers.settlement import HANDLERS
from reservation_worker.outcome import Ack, DeadLetterReason, Outcome, Reject
from tests.fakes import (
    TRUTH,
    DirectNeighbours,
    FakeInventory,
    FakePool,
    FakeReservationApi,
    Lost,
)

RID = "rsv_1"
FACTS = Reservation("HOLD", "concert", ("A1", "A2"), 2)
SEATS = Seats(RID, "concert", ("A1", "A2"), 2)

# The rows are the table's, which test_kinds.py holds to the contract.
TARGET = {kind: kind.value.target for kind in Kind}
PAID = [kind for kind in Kind if kind.value.money_taken]
OTHERS = [kind for kind in Kind if not kind.value.money_taken]
RELEASES = [kind for kind in Kind if isinstance(kind.value.seats, Release)]
LOSING = [(kind, state) for kind in Kind for state in sorted(FINAL_STATES) if state != TARGET[kind]]
"""Each kind with each final state that it does not ask for."""
SOLD = ("SOLD", RID)
FREE = ("AVAILABLE", "")


def inventory_call(kind: Kind) -> tuple[str, Any]:
    """The call with which `event(kind)` moves the seats."""
    match kind.value.seats:
        case Release(reason):
            return "release", (SEATS, reason)
        case Commit():
            return "commit", (SEATS, "pay_1", "usr_1")


INVENTORY = {kind: inventory_call(kind) for kind in Kind}


def row_after(kind: Kind) -> tuple[str, str]:
    """What becomes of a seat."""
    return FREE if kind in RELEASES else SOLD


def event(kind: Kind, **changes: Any) -> Event:
    """What a producer that says everything sends."""
    full = Event(
        kind=kind,
        reservation_id=RID,
        id="evt_1",
        event_id="concert",
        seat_ids=("A1", "A2"),
        qty=2,
        payment_intent_id="pay_1" if "payment_intent_id" in kind.value.sample else None,
        error_code=kind.value.sample.get("error_code"),
        user_id="usr_1",
        order_id=None,
        trace=TraceHints(),
    )
    return replace(full, **changes)


class Scene:
    """Both fakes with one reservation in HOLD, and one journal."""

    def __init__(self) -> None:
        self.api = FakeReservationApi(reservations={RID: FACTS})
        self.inventory = FakeInventory(self.api.journal)
        self.inventory.rows["concert"] = dict.fromkeys(("A1", "A2"), ("RESERVED", RID))
        self.inventory.pools["concert"] = FakePool(available=0, held={RID: 3})
        self.forgotten: Callable[[bool], bool] = lambda replayed: False

    def answers(self, *items: Any) -> None:
        """reservation-api's next answers."""
        self.api.script.extend(items)

    def handle(self, what: Event) -> Outcome:
        neighbours = DirectNeighbours(self.api, self.inventory, self.forgotten)
        return HANDLERS[what.kind](what, neighbours)

    @property
    def calls(self) -> list[str]:
        return [called.name for called in self.api.journal]

    @property
    def moved(self) -> list[tuple[str, Any]]:
        """The inventory calls."""
        return [(c.name, c.about) for c in self.api.journal if c.name in ("release", "commit")]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def compensation(outcome: Outcome) -> bool:
    return isinstance(outcome, Reject) and outcome.reason is DeadLetterReason.COMPENSATION_REQUIRED


def no_for_good(kind: Kind, outcome: Outcome) -> bool:
    """Whether it is the dead letter that a final refusal means: it depends on the money."""
    if kind in PAID:
        return compensation(outcome)
    return isinstance(outcome, Reject) and outcome.reason is DeadLetterReason.PERMANENT_ERROR


# The table: PATCH, then inventory.


@pytest.mark.parametrize("kind", Kind)
def test_the_patch_comes_first_then_inventory(scene: Scene, kind: Kind) -> None:
    row = row_after(kind)
    outcome = scene.handle(event(kind))
    assert isinstance(outcome, Ack)
    assert (outcome.note, outcome.dropped, outcome.warning) == ("settled", False, None)
    assert scene.calls == ["PATCH", INVENTORY[kind][0]]
    assert scene.moved == [INVENTORY[kind]]
    assert scene.api.reservations[RID].status == TARGET[kind]
    assert scene.inventory.rows["concert"] == {"A1": row, "A2": row}


@pytest.mark.parametrize("kind", Kind)
def test_there_is_a_handler_for_every_kind(kind: Kind) -> None:
    assert kind in HANDLERS


# The table's last column: the PATCH answers 409.

TOLD = "the 409 tells"
ASKED = "the GET tells"


def refuse(scene: Scene, state: str | None, how: str, payment: str | None = None) -> None:
    if how == TOLD:
        scene.answers(StatusAnswer(False, state, payment))
    else:
        seen = replace(FACTS, status=state, payment_intent_id=payment)
        scene.answers(StatusAnswer(False, None), seen)


@pytest.mark.parametrize("how", [TOLD, ASKED])
@pytest.mark.parametrize("kind", Kind)
def test_a_409_of_the_state_asked_for_is_a_replay_and_goes_on(
    scene: Scene, kind: Kind, how: str
) -> None:
    refuse(scene, TARGET[kind], how)
    outcome = scene.handle(event(kind))
    assert isinstance(outcome, Ack)
    assert (outcome.note, outcome.warning) == ("replayed", None)
    assert scene.calls == ["PATCH", *(["GET"] if how == ASKED else []), INVENTORY[kind][0]]
    assert scene.moved == [INVENTORY[kind]]


@pytest.mark.parametrize("how", [TOLD, ASKED])
@pytest.mark.parametrize(("kind", "state"), [one for one in LOSING if one[0] in OTHERS])
def test_a_409_of_another_final_state_supersedes_and_leaves_inventory_alone(
    scene: Scene, kind: Kind, state: str, how: str
) -> None:
    refuse(scene, state, how)
    assert scene.handle(event(kind)) == Ack("superseded")
    assert scene.moved == []


@pytest.mark.parametrize("how", [TOLD, ASKED])
@pytest.mark.parametrize(("kind", "state"), [one for one in LOSING if one[0] in PAID])
def test_paid_for_a_reservation_that_is_gone_is_compensation_due(
    scene: Scene, kind: Kind, state: str, how: str
) -> None:
    refuse(scene, state, how)
    outcome = scene.handle(event(kind))
    assert compensation(outcome)
    assert isinstance(outcome, Reject)
    assert state in outcome.error
    assert scene.moved == []


@pytest.mark.parametrize("how", [TOLD, ASKED])
@pytest.mark.parametrize("state", ["HOLD", "PENDING"])
@pytest.mark.parametrize("kind", Kind)
def test_a_409_of_a_reservation_that_is_still_open_is_tried_again(
    scene: Scene, kind: Kind, state: str, how: str
) -> None:
    refuse(scene, state, how)
    with pytest.raises(TransientError) as caught:
        scene.handle(event(kind))
    assert caught.type is TransientError  # it answers: nothing for the breaker
    assert scene.moved == []


def test_the_get_is_asked_only_when_the_409_does_not_tell(scene: Scene) -> None:
    refuse(scene, "EXPIRED", TOLD)
    scene.handle(event(Kind.FAILED))
    assert scene.calls == ["PATCH"]


@pytest.mark.parametrize("error", [TransientError("429", 7.0), TransientError("503")])
@pytest.mark.parametrize("kind", Kind)
def test_a_get_that_fails_for_a_passing_reason_is_tried_again(
    scene: Scene, kind: Kind, error: TransientError
) -> None:
    scene.answers(StatusAnswer(False, None), error)
    with pytest.raises(TransientError) as caught:
        scene.handle(event(kind))
    assert caught.value is error
    assert scene.moved == []


NOTHING_USABLE = [None, Reservation(), replace(FACTS, status="SHIPPED")]


@pytest.mark.parametrize("seen", NOTHING_USABLE, ids=["404", "no status", "unknown status"])
def test_paid_and_nobody_can_say_what_became_of_it_is_compensation_due(
    scene: Scene, seen: Reservation | None
) -> None:
    scene.answers(StatusAnswer(False, None), seen)
    assert compensation(scene.handle(event(Kind.APPROVED)))
    assert scene.calls == ["PATCH", "GET"]


@pytest.mark.parametrize("seen", NOTHING_USABLE, ids=["404", "no status", "unknown status"])
@pytest.mark.parametrize("kind", OTHERS)
def test_nothing_usable_warns_and_leaves_inventory_alone_unless_money_was_taken(
    scene: Scene, kind: Kind, seen: Reservation | None
) -> None:
    scene.answers(StatusAnswer(False, None), seen)
    outcome = scene.handle(event(kind))
    assert isinstance(outcome, Ack)
    assert outcome.warning
    assert scene.calls == ["PATCH", "GET"]


# A second payment.


@pytest.mark.parametrize("how", [TOLD, ASKED])
def test_confirmed_by_another_payment_is_compensation_due(scene: Scene, how: str) -> None:
    refuse(scene, "CONFIRMED", how, payment="pay_0")
    assert compensation(scene.handle(event(Kind.APPROVED)))
    assert scene.moved == []


def test_a_done_that_names_another_payment_is_a_second_payment_too(scene: Scene) -> None:
    # The key names the effect, hence a second payment gets the first one's answer.
    scene.answers(StatusAnswer(True, "CONFIRMED", "pay_0"))
    assert compensation(scene.handle(event(Kind.APPROVED)))
    assert scene.moved == []


def test_the_get_for_missing_facts_may_reveal_a_second_payment(scene: Scene) -> None:
    seen = replace(FACTS, status="CONFIRMED", payment_intent_id="pay_0")
    scene.answers(StatusAnswer(False, "CONFIRMED"), seen)
    assert compensation(scene.handle(event(Kind.APPROVED, event_id=None)))
    assert scene.moved == []


@pytest.mark.parametrize("how", [TOLD, ASKED])
@pytest.mark.parametrize(("named", "own"), [("pay_1", "pay_1"), (None, "pay_1"), ("pay_0", None)])
def test_the_same_payment_or_an_unnamed_one_is_a_replay(
    scene: Scene, named: str | None, own: str | None, how: str
) -> None:
    refuse(scene, "CONFIRMED", how, payment=named)
    assert isinstance(scene.handle(event(Kind.APPROVED, payment_intent_id=own)), Ack)
    assert scene.moved == [("commit", (SEATS, own or "", "usr_1"))]


@pytest.mark.parametrize("how", [TOLD, ASKED])
def test_a_failed_payment_beside_a_good_one_is_superseded(scene: Scene, how: str) -> None:
    refuse(scene, "CONFIRMED", how, payment="pay_0")
    assert scene.handle(event(Kind.FAILED)) == Ack("superseded")
    assert scene.moved == []


def test_two_payments_told_from_start_to_end(scene: Scene) -> None:
    first, second = event(Kind.APPROVED), event(Kind.APPROVED, payment_intent_id="pay_2")
    assert isinstance(scene.handle(first), Ack)
    assert compensation(scene.handle(second))
    assert isinstance(scene.handle(first), Ack)
    assert scene.inventory.rows["concert"]["A1"] == SOLD


# Failures.


@pytest.mark.parametrize("kind", Kind)
def test_a_patch_refused_for_good_is_dead_lettered(scene: Scene, kind: Kind) -> None:
    scene.answers(PermanentError("HTTP 422"))
    outcome = scene.handle(event(kind))
    assert no_for_good(kind, outcome)
    assert isinstance(outcome, Reject)
    assert outcome.error == "HTTP 422"
    assert scene.calls == ["PATCH"]


@pytest.mark.parametrize("kind", Kind)
def test_inventory_refusing_for_good_is_dead_lettered(scene: Scene, kind: Kind) -> None:
    scene.inventory.script.append(PermanentError("the seats are gone"))
    outcome = scene.handle(event(kind))
    assert no_for_good(kind, outcome)
    assert isinstance(outcome, Reject)
    assert outcome.error == "the seats are gone"


@pytest.mark.parametrize("error", [TransientError("429", 7.0), TransientError("503")])
@pytest.mark.parametrize("kind", Kind)
def test_a_patch_that_fails_for_a_passing_reason_is_tried_again_without_touching_inventory(
    scene: Scene, kind: Kind, error: TransientError
) -> None:
    scene.answers(error)
    with pytest.raises(TransientError) as caught:
        scene.handle(event(kind))
    assert caught.value is error
    assert scene.calls == ["PATCH"]


@pytest.mark.parametrize("lost", [False, True], ids=["not done", "done, answer lost"])
@pytest.mark.parametrize("kind", Kind)
def test_inventory_failing_for_a_passing_reason_is_tried_again_until_it_works(
    scene: Scene, kind: Kind, lost: bool
) -> None:
    error = TransientError("UNAVAILABLE")
    scene.inventory.script.append(Lost(error) if lost else error)
    with pytest.raises(TransientError) as caught:
        scene.handle(event(kind))
    assert caught.value is error
    # Graceful degradation: the customer has his confirmation meanwhile.
    assert scene.api.reservations[RID].status == TARGET[kind]
    assert isinstance(scene.handle(event(kind)), Ack)
    assert scene.inventory.rows["concert"]["A1"] == row_after(kind)


# Facts that the event does not bring.

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
    refuse(scene, TARGET[kind], ASKED)
    assert isinstance(scene.handle(event(kind, **missing)), Ack)
    assert scene.calls == ["PATCH", "GET", INVENTORY[kind][0]]
    assert scene.moved == [INVENTORY[kind]]


@pytest.mark.parametrize(("kind", "state"), LOSING)
def test_missing_facts_are_not_asked_for_when_inventory_is_not_due(
    scene: Scene, kind: Kind, state: str
) -> None:
    refuse(scene, state, TOLD)
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
def test_what_is_enough_is_not_asked_for(scene: Scene, given: dict[str, Any], sent: Seats) -> None:
    assert isinstance(scene.handle(event(Kind.EXPIRED, **given)), Ack)
    assert scene.calls == ["PATCH", "release"]
    assert scene.moved == [("release", (sent, "EXPIRED"))]


@pytest.mark.parametrize(
    ("given", "seen", "sent"),
    [
        # The event's own facts stand; only what is missing is filled in.
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
def test_the_reservation_fills_in_what_the_event_leaves_out(
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


# What goes with the PATCH and with the commit.


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
def test_the_patch_carries_what_belongs_to_its_state(
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
