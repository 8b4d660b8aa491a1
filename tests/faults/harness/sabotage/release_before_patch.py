"""Sabotage: inventory moves before the PATCH."""

from dataclasses import dataclass
from typing import Any

from reservation_worker.clients.ports import Reservation, Seats, StatusAnswer, StatusChange
from reservation_worker.config.settings import Settings
from reservation_worker.events.kinds import Kind
from reservation_worker.events.parse import Event
from reservation_worker.handlers.settlement import HANDLERS, Neighbours
from reservation_worker.outcome import Outcome
from tests.faults.harness.sabotage.entry import main


@dataclass
class Backwards:
    """The neighbours; a release after the PATCH does nothing, because it came before."""

    real: Neighbours
    event: Event

    def update_status(self, change: StatusChange) -> StatusAnswer:
        event = self.event
        if not event.kind.value.money_taken and event.event_id and event.seat_ids is not None:
            quantity = len(event.seat_ids) or event.qty or 1
            seats = Seats(event.reservation_id, event.event_id, event.seat_ids, quantity)
            self.real.release(seats, "EXPIRED")
        return self.real.update_status(change)

    def get(self, reservation_id: str) -> Reservation | None:
        return self.real.get(reservation_id)

    def release(self, seats: Seats, reason: str) -> None:
        self.real.release(seats, reason)

    def key_may_be_forgotten(self, replayed: bool) -> bool:
        return self.real.key_may_be_forgotten(replayed)

    def commit(self, seats: Seats, payment_intent_id: str, user_id: str) -> str | None:
        return self.real.commit(seats, payment_intent_id, user_id)


def overrides(settings: Settings) -> dict[str, Any]:
    def backwards(event: Event, neighbours: Neighbours) -> Outcome:
        return HANDLERS[event.kind](event, Backwards(neighbours, event))

    return {"handlers": dict.fromkeys(Kind, backwards)}


if __name__ == "__main__":
    main(overrides)
