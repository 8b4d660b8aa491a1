"""The neighbours as they run today: keys are forgotten, releases are all or nothing."""

import pytest

from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.neighbours.ledger import Ledger
from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.neighbours.stock import StockResult
from reservation_worker.simulator.reconcile.report import DeadLetter, Report, reconcile
from reservation_worker.simulator.story.scenario import Message, Scenario

HALL, LAWN = "evt_hall", "evt_lawn"
SEATED = Record("rsv_1", HALL, ("A1", "A2"))
STANDING = Record("rsv_2", LAWN, quantity=3)


class Today(Ledger):
    """The ledger of today's services, and a clock that a test moves."""

    def __init__(self, *records: Record, key_ttl: float | None = None) -> None:
        self.now = 0.0
        super().__init__(Character.TODAY, key_ttl, lambda: self.now)
        self.seed(records or (SEATED, STANDING, Record("rsv_3", HALL, ("B1",))), {LAWN: 3})

    def free(self) -> int:
        free: int = self.seats.snapshot()["pools"][LAWN]["available"]
        return free


def test_the_callers_key_is_ignored() -> None:
    today = Today()
    for key in ("one", "two", ""):
        today.seats.release("rsv_2", LAWN, [], 3, key)
    assert today.free() == 3


@pytest.mark.parametrize(("ttl", "remembers"), [(None, 300), (20.0, 20)])
def test_a_quantity_release_repeated_after_the_key_is_forgotten_adds_the_places_again(
    ttl: float | None, remembers: float
) -> None:
    today = Today(key_ttl=ttl)
    today.seats.release("rsv_2", LAWN, [], 3)
    today.now = remembers - 0.1
    assert today.seats.release("rsv_2", LAWN, [], 3).replay
    assert today.free() == 3
    assert not today.seats.snapshot()["keys_forgotten"]
    today.now = remembers
    assert today.seats.release("rsv_2", LAWN, [], 3).result is StockResult.DONE
    assert today.free() == 6
    assert today.seats.snapshot()["keys_forgotten"]


def test_a_repeat_does_not_make_the_key_any_younger() -> None:
    today = Today()
    for now in (0, 299, 300):
        today.now = now
        today.seats.release("rsv_2", LAWN, [], 3)
    assert today.free() == 6


@pytest.mark.parametrize("call", ["release", "commit"])
def test_a_call_for_seats_repeated_after_the_key_is_forgotten_is_a_conflict(call: str) -> None:
    today = Today()
    act = getattr(today.seats, call)
    assert act("rsv_1", HALL, ["A1", "A2"], 2).result is StockResult.DONE
    today.now = 300
    again = act("rsv_1", HALL, ["A1", "A2"], 2)
    assert not again.replay
    assert again.result is not StockResult.DONE


def test_a_release_frees_all_of_the_seats_or_none() -> None:
    today = Today()
    answer = today.seats.release("rsv_1", HALL, ["A1", "B1"], 2)
    assert (answer.result, answer.seats) == (StockResult.CONFLICT, ())
    assert today.seats.snapshot()["seats"][HALL]["A1"] == ["RESERVED", "rsv_1"]


def test_the_state_answers_a_repeated_patch_and_not_its_key() -> None:
    today = Today()
    for done in (True, False):
        change = today.reservations.change("rsv_1", "EXPIRED", "status:EXPIRED:rsv_1")
        assert change is not None
        assert change.done == done


# Reconciliation.


def story(*records: Record, kind: str = "expired") -> Scenario:
    messages = tuple(
        Message(f"{kind} {one.reservation_id}", "", kind, "", one.reservation_id, "pay_1")
        for one in records
    )
    ends = {one.reservation_id: frozenset({"EXPIRED", "CONFIRMED"}) for one in records}
    return Scenario(records, {LAWN: 3}, messages, ends)


def reconciled(today: Today, record: Record, reason: str, kind: str = "expired") -> Report:
    """Reconcile one message, which became a dead letter for `reason`; "": it was settled."""
    played = story(record, kind=kind)
    letters = [DeadLetter("1", played.messages[0].body, reason)] if reason else []
    return reconcile(played, today.dump(), letters)


def test_a_leak_that_a_dead_letter_names_is_for_a_person_to_check_and_no_defect() -> None:
    today = Today(STANDING)
    today.reservations.change("rsv_2", "EXPIRED")
    today.now = 300
    assert reconciled(today, STANDING, "").leaked
    report = reconciled(today, STANDING, "permanent_error")
    assert report.ok, report
    assert report.releases_to_check == {"rsv_2"}


def test_before_a_key_can_be_forgotten_such_a_dead_letter_is_a_defect() -> None:
    today = Today(STANDING)
    today.reservations.change("rsv_2", "EXPIRED")
    today.now = 299
    assert reconciled(today, STANDING, "permanent_error").unexpected_dead_letters


def test_a_quantity_released_twice_is_oversold_however_long_ago_the_first_time_was() -> None:
    today = Today(STANDING)
    today.reservations.change("rsv_2", "EXPIRED")
    for today.now in (0, 300):
        today.seats.release("rsv_2", LAWN, [], 3)
    report = reconciled(today, STANDING, "")
    assert report.oversold
    assert report.doubled


def test_a_seat_release_that_was_done_and_forgotten_may_end_as_a_dead_letter() -> None:
    today = Today(SEATED)
    today.reservations.change("rsv_1", "EXPIRED")
    today.now = 300
    assert reconciled(today, SEATED, "retries_exhausted").unexpected_dead_letters, (
        "it was never done"
    )
    today.seats.release("rsv_1", HALL, ["A1", "A2"], 2)
    assert reconciled(today, SEATED, "retries_exhausted").ok
    assert reconciled(today, SEATED, "permanent_error").unexpected_dead_letters
