"""One rule for every kind of event, which its declaration fills in (docs/contract.md#settlement).

reservation-api's state change is the only arbiter: the PATCH comes first, and inventory moves only
after it was accepted. Any other order can free a seat that was sold.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from reservation_worker.clients.ports import (
    FINAL_STATES,
    OPEN_STATES,
    Reservation,
    Seats,
    StatusAnswer,
    StatusChange,
)
from reservation_worker.errors import PermanentError, TransientError
from reservation_worker.events.kinds import Commit, Declaration, Kind, Release
from reservation_worker.events.parse import Event
from reservation_worker.outcome import SUPERSEDED, Ack, DeadLetterReason, Outcome, Reject


class Neighbours(Protocol):
    """The calls that a handler may make for its message; for their errors see clients.ports."""

    def update_status(self, change: StatusChange) -> StatusAnswer: ...
    def get(self, reservation_id: str) -> Reservation | None: ...
    def release(self, seats: Seats, reason: str) -> None: ...
    def commit(self, seats: Seats, payment_intent_id: str, user_id: str) -> str | None: ...
    def key_may_be_forgotten(self, replayed: bool) -> bool: ...


def settle(rule: Declaration, event: Event, neighbours: Neighbours) -> Outcome:
    """Settle one event. Raises TransientError, and what the calls raise besides it."""
    try:
        return _settle(rule, event, neighbours)
    except PermanentError as error:
        return Reject(_refusal(rule), str(error))


HANDLERS: dict[Kind, Callable[[Event, Neighbours], Outcome]] = {
    kind: partial(settle, kind.value) for kind in Kind
}


def _refusal(rule: Declaration) -> DeadLetterReason:
    """The meaning of a final refusal (docs/contract.md#compensation)."""
    if rule.money_taken:
        return DeadLetterReason.COMPENSATION_REQUIRED
    return DeadLetterReason.PERMANENT_ERROR


def _settle(rule: Declaration, event: Event, neighbours: Neighbours) -> Outcome:
    answer = neighbours.update_status(
        StatusChange(
            event.reservation_id,
            rule.target,
            payment_intent_id=event.payment_intent_id if rule.money_taken else None,
            order_id=event.order_id if rule.money_taken else None,
            cancel_reason=rule.cancel_reason,
            error_code=event.error_code if rule.cancel_reason else None,
        )
    )
    note = "settled"
    seen = None
    state, payment = answer.status, answer.payment_intent_id
    if not answer.done:
        note = "replayed"
        if state is None:
            seen = neighbours.get(event.reservation_id)
            if seen is not None:
                state, payment = seen.status, seen.payment_intent_id or payment
    lost = _lost(rule, event, state, payment)
    if lost:
        return lost
    seats = _seats(event, None)
    if seats is None:
        # Facts are missing: the reservation is read once, unless it has just been read.
        seen = seen or neighbours.get(event.reservation_id)
        if seen is not None and seen.status in FINAL_STATES:
            lost = _lost(rule, event, seen.status, seen.payment_intent_id)
            if lost:
                return lost
        seats = _seats(event, seen)
    if seats is None:
        raise PermanentError(
            "neither the event nor reservation-api says which seats of which show (event_id,"
            " seat_ids, qty)"
        )
    order_id = None
    match rule.seats:
        case Commit():
            order_id = neighbours.commit(seats, event.payment_intent_id or "", event.user_id or "")
        case Release(reason):
            _release(neighbours, seats, reason, replayed=not answer.done)
    return Ack(note, order_id=order_id, seat_ids=seats.seat_ids)


def _release(neighbours: Neighbours, seats: Seats, reason: str, replayed: bool) -> None:
    # Only the key guards a quantity (docs/contract.md#quantity-releases). The rows of numbered
    # seats carry the reservation's id, so a repeated release frees nothing twice.
    if not seats.seat_ids and neighbours.key_may_be_forgotten(replayed):
        raise PermanentError(
            f"not released: an earlier try may have put the {seats.quantity} seats of show"
            f" {seats.event_id} back so long ago that inventory-svc has forgotten its key"
            " (INVENTORY_KEY_TTL), and a second release would sell them twice. Check in"
            f" inventory-svc whether the seats of {seats.reservation_id} are back; if not,"
            " release them by hand"
        )
    neighbours.release(seats, reason)


def _lost(
    rule: Declaration, event: Event, state: str | None, payment: str | None
) -> Outcome | None:
    """The outcome if inventory must not move; None if it may."""
    if state == rule.target:
        paid = event.payment_intent_id
        if rule.money_taken and paid and payment and payment != paid:
            return Reject(_refusal(rule), "the reservation was confirmed by another payment")
        return None
    if state in OPEN_STATES:
        raise TransientError(f"reservation-api refused {rule.target} but says {state}")
    if rule.money_taken:
        return Reject(_refusal(rule), f"paid, but the reservation is {state or 'not to be found'}")
    if state in FINAL_STATES:
        return Ack(SUPERSEDED)
    return Ack(SUPERSEDED, warning=f"reservation-api says nothing usable: state {state!r:.80}")


def _seats(event: Event, seen: Reservation | None) -> Seats | None:
    """The event's facts for inventory, filled in from the reservation; None: not enough."""
    # An empty list is general admission, but only with a quantity beside it.
    seat_ids = event.seat_ids if event.seat_ids or event.qty else None
    event_id, quantity = event.event_id, event.qty
    if seen is not None:
        event_id = event_id or seen.event_id
        if seat_ids is None:
            seat_ids = event.seat_ids if seen.seat_ids is None else seen.seat_ids
        quantity = quantity or seen.quantity
    if seat_ids:
        # Where the two disagree, the seats win (docs/contract.md#filling-in).
        quantity = len(seat_ids)
    if event_id is None or seat_ids is None or quantity is None:
        return None
    return Seats(event.reservation_id, event_id, seat_ids, quantity)
