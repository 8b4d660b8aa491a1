"""docs/contract.md#settlement: the rules, cell by cell and sentence by sentence."""

from dataclasses import replace

import pytest

from reservation_worker.clients.ports import Reservation, StatusAnswer
from reservation_worker.errors import PermanentError, TransientError
from reservation_worker.events.kinds import Kind
from reservation_worker.handlers.settlement import HANDLERS
from reservation_worker.outcome import Ack, Reject
from tests.fakes import Lost
from tests.unit.handlers.scene import (
    FACTS,
    INVENTORY,
    LOSING,
    OTHERS,
    PAID,
    RID,
    SEATS,
    SOLD,
    STATE_IN_409,
    STATE_IN_GET,
    TARGET,
    Scene,
    compensation,
    event,
    no_for_good,
    refuse,
    row_after,
)

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


@pytest.mark.parametrize("how", [STATE_IN_409, STATE_IN_GET])
@pytest.mark.parametrize("kind", Kind)
def test_a_409_of_the_state_asked_for_is_a_replay_and_goes_on(
    scene: Scene, kind: Kind, how: str
) -> None:
    refuse(scene, TARGET[kind], how)
    outcome = scene.handle(event(kind))
    assert isinstance(outcome, Ack)
    assert (outcome.note, outcome.warning) == ("replayed", None)
    assert scene.calls == ["PATCH", *(["GET"] if how == STATE_IN_GET else []), INVENTORY[kind][0]]
    assert scene.moved == [INVENTORY[kind]]


@pytest.mark.parametrize("how", [STATE_IN_409, STATE_IN_GET])
@pytest.mark.parametrize(("kind", "state"), [one for one in LOSING if one[0] in OTHERS])
def test_a_409_of_another_final_state_supersedes_and_leaves_inventory_alone(
    scene: Scene, kind: Kind, state: str, how: str
) -> None:
    refuse(scene, state, how)
    assert scene.handle(event(kind)) == Ack("superseded")
    assert scene.moved == []


@pytest.mark.parametrize("how", [STATE_IN_409, STATE_IN_GET])
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


@pytest.mark.parametrize("how", [STATE_IN_409, STATE_IN_GET])
@pytest.mark.parametrize("state", ["HOLD", "PENDING"])
@pytest.mark.parametrize("kind", Kind)
def test_a_409_of_a_reservation_that_is_still_open_is_tried_again(
    scene: Scene, kind: Kind, state: str, how: str
) -> None:
    refuse(scene, state, how)
    with pytest.raises(TransientError) as caught:
        scene.handle(event(kind))
    assert caught.type is TransientError  # it answers, so the breaker does not count it
    assert scene.moved == []


def test_the_get_is_sent_only_if_the_409_has_no_state(scene: Scene) -> None:
    refuse(scene, "EXPIRED", STATE_IN_409)
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
def test_paid_for_a_reservation_in_an_unknown_state_is_compensation_due(
    scene: Scene, seen: Reservation | None
) -> None:
    scene.answers(StatusAnswer(False, None), seen)
    assert compensation(scene.handle(event(Kind.APPROVED)))
    assert scene.calls == ["PATCH", "GET"]


@pytest.mark.parametrize("seen", NOTHING_USABLE, ids=["404", "no status", "unknown status"])
@pytest.mark.parametrize("kind", OTHERS)
def test_an_unusable_state_warns_and_leaves_inventory_alone_unless_money_was_taken(
    scene: Scene, kind: Kind, seen: Reservation | None
) -> None:
    scene.answers(StatusAnswer(False, None), seen)
    outcome = scene.handle(event(kind))
    assert isinstance(outcome, Ack)
    assert outcome.warning
    assert scene.calls == ["PATCH", "GET"]


# A second payment.


@pytest.mark.parametrize("how", [STATE_IN_409, STATE_IN_GET])
def test_confirmed_by_another_payment_is_compensation_due(scene: Scene, how: str) -> None:
    refuse(scene, "CONFIRMED", how, payment="pay_0")
    assert compensation(scene.handle(event(Kind.APPROVED)))
    assert scene.moved == []


def test_a_done_that_names_another_payment_is_a_second_payment_too(scene: Scene) -> None:
    # The key names the effect, so a second payment gets the first one's answer.
    scene.answers(StatusAnswer(True, "CONFIRMED", "pay_0"))
    assert compensation(scene.handle(event(Kind.APPROVED)))
    assert scene.moved == []


def test_the_get_for_missing_facts_may_reveal_a_second_payment(scene: Scene) -> None:
    seen = replace(FACTS, status="CONFIRMED", payment_intent_id="pay_0")
    scene.answers(StatusAnswer(False, "CONFIRMED"), seen)
    assert compensation(scene.handle(event(Kind.APPROVED, event_id=None)))
    assert scene.moved == []


@pytest.mark.parametrize("how", [STATE_IN_409, STATE_IN_GET])
@pytest.mark.parametrize(("named", "own"), [("pay_1", "pay_1"), (None, "pay_1"), ("pay_0", None)])
def test_the_same_payment_or_an_unnamed_one_is_a_replay(
    scene: Scene, named: str | None, own: str | None, how: str
) -> None:
    refuse(scene, "CONFIRMED", how, payment=named)
    assert isinstance(scene.handle(event(Kind.APPROVED, payment_intent_id=own)), Ack)
    assert scene.moved == [("commit", (SEATS, own or "", "usr_1"))]


@pytest.mark.parametrize("how", [STATE_IN_409, STATE_IN_GET])
def test_a_failed_payment_beside_a_good_one_is_superseded(scene: Scene, how: str) -> None:
    refuse(scene, "CONFIRMED", how, payment="pay_0")
    assert scene.handle(event(Kind.FAILED)) == Ack("superseded")
    assert scene.moved == []


def test_of_two_payments_the_first_buys_and_the_second_is_compensated(scene: Scene) -> None:
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
