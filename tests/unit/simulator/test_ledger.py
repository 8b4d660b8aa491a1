"""The simulated ledgers: states, keys, seats, and the known danger."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from reservation_worker.simulator.neighbours.ledger import Ledger
from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.neighbours.stock import StockResult

HALL, LAWN = "evt_hall", "evt_lawn"
SEATED = Record("rsv_1", HALL, ("A1", "A2"))
STANDING = Record("rsv_2", LAWN, quantity=3)
FINAL = ("CONFIRMED", "CANCELLED", "EXPIRED")


@pytest.fixture
def ledger() -> Ledger:
    made = Ledger()
    made.seed([SEATED, STANDING, Record("rsv_3", HALL, ("B1",))], {LAWN: 3})
    return made


def outcomes(ledger: Ledger, op: str) -> list[str]:
    return [entry["outcome"] for entry in ledger.journal.entries() if entry["op"] == op]


@pytest.mark.parametrize("start", ["PENDING", "HOLD"])
@pytest.mark.parametrize("end", FINAL)
def test_an_open_reservation_reaches_any_final_state(start: str, end: str) -> None:
    ledger = Ledger()
    ledger.seed([Record("rsv_9", HALL, ("A1",), status=start)])
    change = ledger.reservations.change("rsv_9", end, "key")
    assert change is not None
    assert change.done
    assert change.record.status == end


@pytest.mark.parametrize("start", FINAL)
@pytest.mark.parametrize("end", FINAL)
def test_a_final_state_is_never_left(start: str, end: str) -> None:
    ledger = Ledger()
    ledger.seed([Record("rsv_9", HALL, ("A1",), status=start)])
    change = ledger.reservations.change("rsv_9", end)
    assert change is not None
    assert not change.done
    assert change.record.status == start


def test_a_replayed_key_gets_the_first_answer_and_changes_nothing(ledger: Ledger) -> None:
    reservations = ledger.reservations
    first = reservations.change("rsv_1", "CONFIRMED", "key", {"payment_intent_id": "pay_1"})
    again = reservations.change("rsv_1", "CONFIRMED", "key", {"payment_intent_id": "pay_2"})
    assert first is not None
    assert again is not None
    assert again.done
    assert again.record == first.record == reservations.get("rsv_1")
    assert outcomes(ledger, "status") == ["applied", "replay"]


def test_a_refused_key_is_refused_for_ever(ledger: Ledger) -> None:
    ledger.reservations.change("rsv_1", "EXPIRED", "status:EXPIRED:rsv_1")
    for _ in range(2):
        change = ledger.reservations.change("rsv_1", "CONFIRMED", "status:CONFIRMED:rsv_1")
        assert change is not None
        assert not change.done
        assert change.record.status == "EXPIRED"


def test_a_change_without_a_key_works_as_well(ledger: Ledger) -> None:
    first = ledger.reservations.change("rsv_1", "CANCELLED", facts={"error_code": "CARD"})
    assert first is not None
    assert first.done
    assert first.record.error_code == "CARD"
    again = ledger.reservations.change("rsv_1", "CANCELLED")
    assert again is not None
    assert not again.done


def test_an_unknown_reservation_has_no_record(ledger: Ledger) -> None:
    assert ledger.reservations.change("rsv_x", "EXPIRED", "key") is None
    assert ledger.reservations.get("rsv_x") is None


def test_of_many_at_the_same_time_exactly_one_wins(ledger: Ledger) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda n: ledger.reservations.change("rsv_1", FINAL[n % 3]), range(300))
        )
    assert sum(answer is not None and answer.done for answer in answers) == 1
    assert outcomes(ledger, "status").count("applied") == 1


def test_a_commit_sells_held_seats(ledger: Ledger) -> None:
    answer = ledger.seats.commit("rsv_1", HALL, ["A1", "A2"], 2, "commit:rsv_1")
    assert answer.result is StockResult.DONE
    assert ledger.dump()["seats"][HALL]["A1"] == ["SOLD", "rsv_1"]


def test_a_commit_sells_all_seats_or_none(ledger: Ledger) -> None:
    answer = ledger.seats.commit("rsv_1", HALL, ["A1", "B1"], 2, "commit:rsv_1")
    assert answer.result is StockResult.CONFLICT
    assert ledger.dump()["seats"][HALL]["A1"] == ["RESERVED", "rsv_1"]


def test_a_commit_after_the_release_finds_the_hold_gone(ledger: Ledger) -> None:
    ledger.seats.release("rsv_1", HALL, ["A1", "A2"], 2, "release:rsv_1")
    ledger.seats.release("rsv_2", LAWN, [], 3, "release:rsv_2")
    assert ledger.seats.commit("rsv_1", HALL, ["A1", "A2"], 2).result is StockResult.HOLD_GONE
    assert ledger.seats.commit("rsv_2", LAWN, [], 3).result is StockResult.HOLD_GONE


def test_a_commit_of_unknown_seats_or_shows_finds_nothing(ledger: Ledger) -> None:
    assert ledger.seats.commit("rsv_1", HALL, ["Z9"], 1).result is StockResult.NOT_FOUND
    assert ledger.seats.commit("rsv_1", "evt_x", ["A1"], 1).result is StockResult.NOT_FOUND
    assert ledger.seats.release("rsv_1", HALL, ["Z9"], 1).result is StockResult.NOT_FOUND
    assert ledger.seats.release("rsv_1", "evt_x", [], 1).result is StockResult.NOT_FOUND


def test_a_release_frees_only_the_rows_that_carry_its_id(ledger: Ledger) -> None:
    answer = ledger.seats.release("rsv_1", HALL, ["A1", "B1"], 2, "release:rsv_1")
    assert answer.seats == ("A1",)
    rows = ledger.dump()["seats"][HALL]
    assert rows["A1"] == ["AVAILABLE", ""]
    assert rows["B1"] == ["RESERVED", "rsv_3"]


def test_a_replayed_release_key_frees_nothing_more(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.seats.release("rsv_2", LAWN, [], 3, "release:rsv_2")
    assert ledger.dump()["pools"][LAWN]["available"] == 3
    assert outcomes(ledger, "release") == ["applied", "replay", "replay"]


def test_a_replayed_commit_key_sells_nothing_more(ledger: Ledger) -> None:
    ledger.seats.commit("rsv_2", LAWN, [], 3, "commit:rsv_2")
    again = ledger.seats.commit("rsv_2", LAWN, [], 3, "commit:rsv_2")
    assert again.replay
    assert ledger.dump()["pools"][LAWN]["sold"] == {"rsv_2": 3}


def test_a_refusal_does_not_use_up_the_key(ledger: Ledger) -> None:
    ledger.seats.commit("rsv_1", HALL, ["B1"], 1, "commit:rsv_1")
    answer = ledger.seats.commit("rsv_1", HALL, ["A1", "A2"], 2, "commit:rsv_1")
    assert answer.result is StockResult.DONE


def test_the_danger_a_release_frees_seats_that_were_sold(ledger: Ledger) -> None:
    ledger.seats.commit("rsv_1", HALL, ["A1", "A2"], 2, "commit:rsv_1")
    answer = ledger.seats.release("rsv_1", HALL, ["A1", "A2"], 2, "release:rsv_1")
    assert answer.seats == ("A1", "A2")
    assert ledger.dump()["seats"][HALL]["A1"] == ["AVAILABLE", ""]


def test_the_danger_only_the_key_guards_a_release_by_quantity(ledger: Ledger) -> None:
    for key in ("one", "two", ""):
        ledger.seats.release("rsv_2", LAWN, [], 3, key)
    assert ledger.dump()["pools"][LAWN]["available"] == 9


def test_under_many_threads_a_key_takes_effect_once(ledger: Ledger) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(
            pool.map(
                lambda _: ledger.seats.release("rsv_2", LAWN, [], 3, "release:rsv_2"), range(200)
            )
        )
    assert ledger.dump()["pools"][LAWN]["available"] == 3


def test_the_journal_has_both_ledgers_in_one_order(ledger: Ledger) -> None:
    seeded = len(ledger.journal.entries())
    ledger.reservations.change("rsv_1", "CONFIRMED", "a")
    ledger.seats.commit("rsv_1", HALL, ["A1", "A2"], 2, "b")
    status, commit = ledger.dump(since=seeded)["journal"]
    assert (status["op"], status["before"], status["after"]) == ("status", "HOLD", "CONFIRMED")
    assert (commit["op"], commit["seats"], commit["key"]) == ("commit", ["A1", "A2"], "b")
    assert commit["before"]["A1"] == ["RESERVED", "rsv_1"]
    assert commit["after"]["A1"] == ["SOLD", "rsv_1"]
    assert commit["seq"] == status["seq"] + 1


@pytest.mark.parametrize(
    ("status", "row", "places"),
    [("HOLD", "RESERVED", "held"), ("CONFIRMED", "SOLD", "sold"), ("EXPIRED", "AVAILABLE", None)],
)
def test_seeded_seats_fit_the_reservations_state(status: str, row: str, places: str | None) -> None:
    ledger = Ledger()
    seated = Record("rsv_1", HALL, ("A1",), status=status)
    ledger.seed([seated, Record("rsv_2", LAWN, quantity=2, status=status)], {LAWN: 2})
    dump = ledger.dump()
    assert dump["seats"][HALL]["A1"][0] == row
    for book in ("held", "sold"):
        assert dump["pools"][LAWN][book] == ({"rsv_2": 2} if book == places else {})


def test_a_seed_that_contradicts_the_world_is_refused(ledger: Ledger) -> None:
    for record in (SEATED, Record("rsv_9", HALL, ("A1",)), Record("rsv_9", LAWN, quantity=1)):
        with pytest.raises(ValueError, match="rsv_"):
            ledger.seed([record])
    with pytest.raises(ValueError, match="neither seats nor a quantity"):
        Record("rsv_9", LAWN)
    with pytest.raises(ValueError, match="no state"):
        Record("rsv_9", LAWN, quantity=1, status="SOLD")
