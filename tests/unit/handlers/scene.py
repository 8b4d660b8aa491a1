"""Both fakes with one reservation; a test sets their next answers and reads their journal."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from reservation_worker.clients.ports import FINAL_STATES, Reservation, Seats, StatusAnswer
from reservation_worker.events.kinds import Commit, Kind, Release
from reservation_worker.events.parse import Event, TraceHints
from reservation_worker.handlers.settlement import HANDLERS
from reservation_worker.outcome import DeadLetterReason, Outcome, Reject
from tests.fakes import DirectNeighbours, FakeInventory, FakePool, FakeReservationApi

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
    """An event with every field."""
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


def compensation(outcome: Outcome) -> bool:
    return isinstance(outcome, Reject) and outcome.reason is DeadLetterReason.COMPENSATION_REQUIRED


def no_for_good(kind: Kind, outcome: Outcome) -> bool:
    """Whether it is the dead letter that a final refusal means: it depends on the money."""
    if kind in PAID:
        return compensation(outcome)
    return isinstance(outcome, Reject) and outcome.reason is DeadLetterReason.PERMANENT_ERROR


STATE_IN_409 = "the state is in the 409"
STATE_IN_GET = "the state is in the GET"


def refuse(scene: Scene, state: str | None, how: str, payment: str | None = None) -> None:
    if how == STATE_IN_409:
        scene.answers(StatusAnswer(False, state, payment))
    else:
        seen = replace(FACTS, status=state, payment_intent_id=payment)
        scene.answers(StatusAnswer(False, None), seen)
