"""The promises of clients.ports, kept by the fakes and by the real clients alike.

Each test runs twice: against tests/fakes.py, and against the gRPC and HTTP clients talking to the
simulator. So a fake in the handlers' tests behaves as the neighbour does.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import pytest

from reservation_worker.clients.ports import (
    Inventory,
    Reservation,
    Seats,
    StatusAnswer,
    StatusChange,
)
from reservation_worker.errors import PermanentError, TransientError
from tests.contract.neighbours import CALL, IDS, SHOW, FakeWorld, RealWorld, World
from tests.fake_queue import eventually


@pytest.fixture(params=["fakes", "clients and simulator"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "fakes":
        yield FakeWorld()
        return
    real = RealWorld()
    yield real
    real.close()


def patch(world: World, reservation_id: str, status: str, payment: str | None = None) -> Any:
    change = StatusChange(reservation_id, status, payment_intent_id=payment)
    return world.api.update_status(change, CALL)


def seats(reservation_id: str, *ids: str, quantity: int = 0, show: str = SHOW) -> Seats:
    return Seats(reservation_id, show, ids, len(ids) or quantity)


def release(world: World, what: Seats) -> None:
    world.inventory.release(what, "EXPIRED", CALL)


def commit(world: World, what: Seats) -> str | None:
    return world.inventory.commit(what, "pay_1", "usr_1", CALL)


# reservation-api: the arbiter.

FINAL = ["CONFIRMED", "CANCELLED", "EXPIRED"]


@pytest.mark.parametrize("status", FINAL)
def test_a_reservation_in_hold_moves_to_the_state_asked_for(world: World, status: str) -> None:
    for rid in IDS:
        world.seed(rid, quantity=1)
        answer = patch(world, rid, status)
        assert (answer.done, answer.status) == (True, status)
        seen = world.api.get(rid, CALL)
        assert seen is not None
        assert seen.status == status


@pytest.mark.parametrize("status", FINAL)
def test_a_repeated_change_reports_done_again(world: World, status: str) -> None:
    for rid in IDS:
        world.seed(rid, quantity=1)
        first = patch(world, rid, status)
        assert patch(world, rid, status) == first


@pytest.mark.parametrize(("now", "asked"), list(permutations(FINAL, 2)))
def test_a_final_state_is_never_left_and_the_answer_names_it(
    world: World, now: str, asked: str
) -> None:
    for rid in IDS:
        world.seed(rid, quantity=1)
        patch(world, rid, now)
        for _ in range(2):
            assert patch(world, rid, asked) == StatusAnswer(False, now)
        seen = world.api.get(rid, CALL)
        assert seen is not None
        assert seen.status == now


def test_the_answer_to_a_second_payment_names_the_first(world: World) -> None:
    for rid in IDS:
        world.seed(rid, quantity=1)
        patch(world, rid, "CONFIRMED", "pay_1")
        assert patch(world, rid, "CONFIRMED", "pay_2").payment_intent_id == "pay_1"
        assert patch(world, rid, "EXPIRED") == StatusAnswer(False, "CONFIRMED", "pay_1")
        seen = world.api.get(rid, CALL)
        assert seen is not None
        assert seen.payment_intent_id == "pay_1"


def test_an_unknown_reservation_is_a_permanent_error_and_reads_as_none(world: World) -> None:
    with pytest.raises(PermanentError):
        patch(world, "rsv_404", "EXPIRED")
    assert world.api.get("rsv_404", CALL) is None


def test_a_reservation_shows_its_facts(world: World) -> None:
    for rid in IDS:
        world.seed(rid, f"{rid}-A1", f"{rid}-A2")
        expected = Reservation("HOLD", SHOW, (f"{rid}-A1", f"{rid}-A2"), 2)
        assert world.api.get(rid, CALL) == expected


def test_general_admission_shows_a_quantity_without_seats(world: World) -> None:
    for rid in IDS:
        world.seed(rid, quantity=3)
        assert world.api.get(rid, CALL) == Reservation("HOLD", SHOW, (), 3)


def test_of_many_concurrent_changes_exactly_one_is_made(world: World) -> None:
    world.seed("rsv_1", quantity=1)
    asked = FINAL * 4
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda status: patch(world, "rsv_1", status), asked))
    (state,) = {answer.status for answer in answers}
    assert [answer.done for answer in answers] == [status == state for status in asked]


# inventory-svc: numbered seats.


def test_a_release_frees_what_was_held(world: World) -> None:
    world.seed("rsv_1", "A1", "A2")
    release(world, seats("rsv_1", "A1", "A2"))
    assert world.row("A1") == world.row("A2") == ("AVAILABLE", "")


def test_a_commit_sells_what_was_held_and_names_the_order(world: World) -> None:
    world.seed("rsv_1", "A1", "A2")
    assert commit(world, seats("rsv_1", "A1", "A2")) == "ord_rsv_1"
    assert world.row("A1") == world.row("A2") == ("SOLD", "rsv_1")


def test_a_repeated_commit_names_the_same_order(world: World) -> None:
    world.seed("rsv_1", "A1")
    assert commit(world, seats("rsv_1", "A1")) == commit(world, seats("rsv_1", "A1"))


def test_a_repeated_release_takes_nothing_from_the_next_owner(world: World) -> None:
    world.seed("rsv_1", "A1")
    release(world, seats("rsv_1", "A1"))
    world.seed("rsv_2", "A1")
    release(world, seats("rsv_1", "A1"))
    assert world.row("A1") == ("RESERVED", "rsv_2")


def test_a_release_does_not_touch_the_seats_of_others(world: World) -> None:
    world.seed("rsv_1", "A1")
    world.seed("rsv_2", "A2")
    release(world, seats("rsv_1", "A1", "A2"))
    assert world.row("A2") == ("RESERVED", "rsv_2")


def test_a_release_of_unknown_seats_is_done(world: World) -> None:
    release(world, seats("rsv_1", "Z9"))
    release(world, seats("rsv_2", "A1", show="another show"))


@pytest.mark.parametrize("taken_by_another", [False, True])
def test_a_commit_of_seats_that_are_gone_is_a_permanent_error(
    world: World, taken_by_another: bool
) -> None:
    world.seed("rsv_1", "A1")
    release(world, seats("rsv_1", "A1"))
    if taken_by_another:
        world.seed("rsv_2", "A1")
    before = world.row("A1")
    with pytest.raises(PermanentError):
        commit(world, seats("rsv_1", "A1"))
    assert world.row("A1") == before


def test_a_commit_of_unknown_seats_is_a_permanent_error(world: World) -> None:
    for show in (SHOW, "another show"):
        with pytest.raises(PermanentError):
            commit(world, seats("rsv_1", "Z9", show=show))


def test_a_commit_is_all_or_nothing(world: World) -> None:
    world.seed("rsv_1", "A1")
    world.seed("rsv_2", "A2")
    with pytest.raises(PermanentError):
        commit(world, seats("rsv_1", "A1", "A2"))
    assert world.row("A1") == ("RESERVED", "rsv_1")


def test_known_danger_a_release_frees_sold_seats(world: World) -> None:
    world.seed("rsv_1", "A1")
    commit(world, seats("rsv_1", "A1"))
    release(world, seats("rsv_1", "A1"))
    assert world.row("A1") == ("AVAILABLE", "")


# inventory-svc: general admission.


def test_a_release_by_quantity_is_counted_once(world: World) -> None:
    world.seed("rsv_1", quantity=3)
    assert world.pool() == (97, {"rsv_1": 3}, {})
    for _ in range(2):
        release(world, seats("rsv_1", quantity=3))
        assert world.pool() == (100, {}, {})


def test_a_commit_by_quantity_is_counted_once(world: World) -> None:
    world.seed("rsv_1", quantity=3)
    for _ in range(2):
        assert commit(world, seats("rsv_1", quantity=3)) == "ord_rsv_1"
        assert world.pool() == (97, {}, {"rsv_1": 3})


def test_a_commit_by_quantity_after_the_release_is_a_permanent_error(world: World) -> None:
    world.seed("rsv_1", quantity=3)
    release(world, seats("rsv_1", quantity=3))
    with pytest.raises(PermanentError):
        commit(world, seats("rsv_1", quantity=3))
    assert world.pool() == (100, {}, {})


def test_known_danger_a_release_by_quantity_frees_sold_places(
    world: World,
) -> None:
    world.seed("rsv_1", quantity=3)
    commit(world, seats("rsv_1", quantity=3))
    release(world, seats("rsv_1", quantity=3))
    assert world.pool()[0] == 100


def test_of_many_concurrent_releases_exactly_one_is_counted(world: World) -> None:
    world.seed("rsv_1", quantity=3)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: release(world, seats("rsv_1", quantity=3)), range(12)))
    assert world.pool() == (100, {}, {})


# Failures, of both alike.

KINDS = {"down": TransientError, "busy": TransientError, "refuse": PermanentError}


@pytest.mark.parametrize("fault", KINDS)
@pytest.mark.parametrize("call", ["patch", "release", "commit"])
def test_a_failed_call_raises_its_error_once_and_changes_nothing(
    world: World, fault: str, call: str
) -> None:
    world.seed("rsv_1", "A1")
    calls = {
        "patch": lambda: patch(world, "rsv_1", "EXPIRED"),
        "release": lambda: release(world, seats("rsv_1", "A1")),
        "commit": lambda: commit(world, seats("rsv_1", "A1")),
    }
    world.fail("api" if call == "patch" else "inventory", fault)
    with pytest.raises(KINDS[fault]) as caught:
        calls[call]()
    assert caught.type is KINDS[fault]
    assert world.row("A1") == ("RESERVED", "rsv_1")
    assert world.api.get("rsv_1", CALL) == Reservation("HOLD", SHOW, ("A1",), 1)
    calls[call]()


def test_a_get_that_failed_for_a_passing_reason_works_again(world: World) -> None:
    world.seed("rsv_1", "A1")
    world.fail("api", "down")
    with pytest.raises(TransientError):
        world.api.get("rsv_1", CALL)
    assert world.api.get("rsv_1", CALL) is not None


def test_reservation_api_may_ask_for_a_delay(world: World) -> None:
    world.fail("api", "busy")
    with pytest.raises(TransientError) as caught:
        patch(world, "rsv_1", "EXPIRED")
    assert caught.value.retry_after == 7.0


def test_a_call_whose_answer_was_lost_took_effect_and_is_not_counted_twice(world: World) -> None:
    world.seed("rsv_1", quantity=3)
    world.fail("inventory", "down", after=True)
    with pytest.raises(TransientError):
        release(world, seats("rsv_1", quantity=3))
    assert world.pool()[0] == 100
    release(world, seats("rsv_1", quantity=3))
    assert world.pool()[0] == 100


def test_a_change_whose_answer_was_lost_was_made_and_its_repeat_reports_done(
    world: World,
) -> None:
    world.seed("rsv_1", quantity=3)
    world.fail("api", "down", after=True)
    with pytest.raises(TransientError):
        patch(world, "rsv_1", "EXPIRED")
    assert patch(world, "rsv_1", "CONFIRMED") == StatusAnswer(False, "EXPIRED")
    assert patch(world, "rsv_1", "EXPIRED").done


def probed_down(inventory: Inventory) -> bool:
    try:
        inventory.probe(timeout=0.2)
    except TransientError:
        return True
    return False


def test_calls_and_probes_of_an_unreachable_neighbour_fail_until_it_is_back(world: World) -> None:
    world.seed("rsv_1", "A1")
    world.api.probe(timeout=10.0)
    world.inventory.probe(timeout=10.0)
    world.switch(on=False)
    for call in (
        lambda: patch(world, "rsv_1", "EXPIRED"),
        lambda: world.api.get("rsv_1", CALL),
        lambda: release(world, seats("rsv_1", "A1")),
        lambda: commit(world, seats("rsv_1", "A1")),
        lambda: world.api.probe(timeout=0.2),
    ):
        with pytest.raises(TransientError):
            call()
    # gRPC reports the channel's state a moment after the connection was lost.
    eventually(lambda: probed_down(world.inventory))
    world.switch(on=True)
    world.api.probe(timeout=10.0)
    world.inventory.probe(timeout=10.0)
    assert patch(world, "rsv_1", "EXPIRED").done
    release(world, seats("rsv_1", "A1"))
    assert world.row("A1") == ("AVAILABLE", "")
