"""The forecast of a redrive, compared with docs/contract.md#settlement."""

import json
from typing import Any

import pytest

from reservation_worker.cli.dlq.forecast import Fate, forecast
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.dlq.states import State
from reservation_worker.clients.ports import Reservation

EXPIRED, APPROVED, FAILED = "reservation.expired", "payment.approved", "payment.failed"
GONE = State(None)


def letter(type_: str, body: str | None = None, **detail: Any) -> Letter:
    fields = {"reservation_id": "rsv_1", "event_id": "show", "seat_ids": ["A1"]}
    fields |= {"payment_intent_id": "pay_1", **detail}
    event = {"type": type_, "detail": {k: v for k, v in fields.items() if v is not None}}
    return Letter("id", body or json.dumps(event), {}, None, 0.0, 1)


def state(status: str | None, **more: Any) -> State:
    return State(Reservation(status=status, **more))


@pytest.mark.parametrize(
    ("type_", "now", "fate", "text"),
    [
        (EXPIRED, state("HOLD"), Fate.SETTLES, "now HOLD: release"),
        (EXPIRED, state("PENDING"), Fate.SETTLES, "now PENDING: release"),
        (EXPIRED, state("EXPIRED"), Fate.REPLAYS, "now EXPIRED: release again"),
        (EXPIRED, state("CONFIRMED"), Fate.SUPERSEDED, "inventory is left alone"),
        (EXPIRED, state("CANCELLED"), Fate.SUPERSEDED, "inventory is left alone"),
        (EXPIRED, state("MELTED"), Fate.SUPERSEDED, "now MELTED: inventory is left alone"),
        (EXPIRED, GONE, Fate.COMES_BACK, "permanent_error"),
        (APPROVED, state("HOLD"), Fate.SETTLES, "now HOLD: commit"),
        (
            APPROVED,
            state("CONFIRMED", payment_intent_id="pay_1"),
            Fate.REPLAYS,
            "now CONFIRMED: commit again",
        ),
        (APPROVED, state("CONFIRMED"), Fate.REPLAYS, "now CONFIRMED: commit again"),
        (
            APPROVED,
            state("CONFIRMED", payment_intent_id="pay_2"),
            Fate.COMES_BACK,
            "compensation_required: the reservation was confirmed by another payment",
        ),
        (APPROVED, state("EXPIRED"), Fate.COMES_BACK, "compensation_required"),
        (APPROVED, state("CANCELLED"), Fate.COMES_BACK, "compensation_required"),
        (APPROVED, state(None), Fate.COMES_BACK, "compensation_required"),
        (APPROVED, GONE, Fate.COMES_BACK, "compensation_required"),
        (FAILED, state("HOLD"), Fate.SETTLES, "now HOLD: release"),
        (FAILED, state("CANCELLED"), Fate.REPLAYS, "now CANCELLED: release again"),
        (FAILED, state("EXPIRED"), Fate.SUPERSEDED, "inventory is left alone"),
        (FAILED, state("CONFIRMED"), Fate.SUPERSEDED, "inventory is left alone"),
        (FAILED, GONE, Fate.COMES_BACK, "permanent_error"),
    ],
)
def test_a_forecast_is_the_outcome_that_the_contract_demands(
    type_: str, now: State, fate: Fate, text: str
) -> None:
    predicted = forecast(letter(type_).event, now)
    assert predicted.fate is fate
    assert text in predicted.text
    assert not predicted.quantity_release


def test_a_message_that_is_no_event_comes_back_at_once() -> None:
    predicted = forecast(letter(EXPIRED, body="no json").event, None)
    assert (predicted.fate, predicted.text) == (Fate.COMES_BACK, "at once, as invalid_payload")


def test_an_event_with_nothing_to_do_is_acknowledged() -> None:
    ignored = letter("Payment Status Updated", status="PAYMENT_STATUS_PENDING")
    assert forecast(ignored.event, None).fate is Fate.DROPPED


def test_without_facts_about_the_seats_a_message_comes_back() -> None:
    predicted = forecast(letter(EXPIRED, seat_ids=None).event, state("HOLD"))
    assert (predicted.fate, "permanent_error" in predicted.text) == (Fate.COMES_BACK, True)


@pytest.mark.parametrize(
    ("type_", "detail", "now", "flagged"),
    [
        (EXPIRED, {"seat_ids": [], "qty": 2}, state("HOLD"), True),
        (FAILED, {"seat_ids": [], "qty": 2}, state("CANCELLED"), True),
        # The reservation knows of no seats either.
        (EXPIRED, {"seat_ids": None, "qty": 2}, state("HOLD", seat_ids=()), True),
        # The reservation knows the seats, and the worker will ask it.
        (EXPIRED, {"seat_ids": None, "qty": 1}, state("HOLD", seat_ids=("A1",)), False),
        # Nothing is released.
        (EXPIRED, {"seat_ids": [], "qty": 2}, state("CONFIRMED"), False),
        (APPROVED, {"seat_ids": [], "qty": 2}, state("HOLD"), False),
        # The worst is assumed where the state is not known.
        (EXPIRED, {"seat_ids": None, "qty": 2}, State(None, "timeout"), True),
        (EXPIRED, {}, State(None, "timeout"), False),
        (APPROVED, {"seat_ids": [], "qty": 2}, State(None, "timeout"), False),
    ],
)
def test_a_release_by_quantity_is_flagged(
    type_: str, detail: dict[str, Any], now: State, flagged: bool
) -> None:
    assert forecast(letter(type_, **detail).event, now).quantity_release is flagged


def test_words_of_a_neighbour_cannot_act_in_the_summary() -> None:
    predicted = forecast(letter(APPROVED).event, state("\x1b[2J" + "x" * 500))
    assert predicted.text.isprintable()
    assert len(predicted.text) <= 100
