"""The outcome of a message if it were handled now, by the settlement's own rules."""

from dataclasses import dataclass
from enum import StrEnum

from reservation_worker.cli.dlq.states import State
from reservation_worker.cli.text import short
from reservation_worker.clients.ports import (
    FINAL_STATES,
    OPEN_STATES,
    Reservation,
    Seats,
    StatusAnswer,
    StatusChange,
)
from reservation_worker.errors import InvalidEvent, PermanentError
from reservation_worker.events.kinds import Release
from reservation_worker.events.parse import Event, Ignored
from reservation_worker.handlers.settlement import HANDLERS
from reservation_worker.outcome import Ack, DeadLetterReason, Reject

_LONGEST = 100


class Fate(StrEnum):
    """How the handling would end, in the words of the table."""

    SETTLES = "settles"
    REPLAYS = "replays"
    SUPERSEDED = "superseded"
    DROPPED = "nothing to do"
    COMES_BACK = "comes back"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Forecast:
    """`quantity_release`: inventory-svc would free a number of seats, not named ones."""

    fate: Fate
    text: str
    quantity_release: bool = False


class _Rehearsal:
    """Neighbours that answer as reservation-api would and change nothing."""

    def __init__(self, now: Reservation | None) -> None:
        self._now = now
        self.call = ""
        self.seats: Seats | None = None

    def update_status(self, change: StatusChange) -> StatusAnswer:
        now = self._now
        if now is None:
            raise PermanentError("reservation-api does not know the reservation")
        if now.status in OPEN_STATES:
            return StatusAnswer(True, change.status, now.payment_intent_id)
        known = now.status if now.status in FINAL_STATES else None
        return StatusAnswer(False, known, now.payment_intent_id)

    def get(self, reservation_id: str) -> Reservation | None:
        return self._now

    def release(self, seats: Seats, reason: str) -> None:
        self.call, self.seats = "release", seats

    def commit(self, seats: Seats, payment_intent_id: str, user_id: str) -> None:
        self.call = "commit"

    def key_may_be_forgotten(self, replayed: bool) -> bool:
        """A message that is put back is a new one: SQS does not know when it was tried before."""
        return False


def forecast(event: Event | Ignored | InvalidEvent, state: State | None) -> Forecast:
    """By the rules of docs/contract.md#settlement; `state` is the reservation's now.

    inventory-svc is not asked. Where the state is not known, a release without seats counts as one
    by quantity.
    """
    if isinstance(event, InvalidEvent):
        return Forecast(Fate.COMES_BACK, f"at once, as {DeadLetterReason.INVALID_PAYLOAD}")
    if isinstance(event, Ignored):
        return Forecast(Fate.DROPPED, "acknowledged")
    if state is None or state.error is not None:
        releases = isinstance(event.kind.value.seats, Release)
        return Forecast(
            Fate.UNKNOWN, "reservation-api could not be asked", releases and not event.seat_ids
        )
    return _rehearsed(event, state.reservation)


def _rehearsed(event: Event, now: Reservation | None) -> Forecast:
    rehearsal = _Rehearsal(now)
    outcome = HANDLERS[event.kind](event, rehearsal)
    if isinstance(outcome, Reject):
        text = short(f"as {outcome.reason}: {outcome.error}", _LONGEST)
        return Forecast(Fate.COMES_BACK, text)
    if not isinstance(outcome, Ack):
        raise TypeError(f"a rehearsal ended in {outcome}")
    status = short((now.status if now else None) or "no state", 40)
    if not rehearsal.call:
        return Forecast(Fate.SUPERSEDED, f"{event.kind}, now {status}: inventory is left alone")
    by_quantity = rehearsal.seats is not None and not rehearsal.seats.seat_ids
    text = f"{event.kind}, now {status}: {rehearsal.call}"
    if outcome.note == "replayed":
        return Forecast(Fate.REPLAYS, f"{text} again", by_quantity)
    return Forecast(Fate.SETTLES, text, by_quantity)
