"""Both neighbours to test: the fakes, or the real clients and the simulator."""

from typing import Any, Protocol

from reservation_worker.clients.inventory import InventoryClient
from reservation_worker.clients.ports import (
    CallContext,
    Inventory,
    Reservation,
    ReservationApi,
)
from reservation_worker.clients.reservation import ReservationClient
from reservation_worker.errors import PermanentError, TransientError
from reservation_worker.simulator.neighbours.inventory import InventoryServer
from reservation_worker.simulator.neighbours.ledger import Ledger
from reservation_worker.simulator.neighbours.reservation_api import (
    ReservationApi as ReservationApiServer,
)
from reservation_worker.simulator.neighbours.reservations import Record
from tests.fakes import FakeInventory, FakePool, FakeReservationApi, Lost

CALL = CallContext(timeout=10.0)
SHOW = "concert"
# Several, because the real API's answers differ in shape by id.
IDS = [f"rsv_{number}" for number in range(1, 7)]


class World(Protocol):
    """Both ports, and controls of the neighbours behind them."""

    api: ReservationApi
    inventory: Inventory

    def seed(self, reservation_id: str, *seats: str, quantity: int = 0) -> None:
        """A reservation in HOLD, with these seats or a quantity of 100 places."""

    def row(self, seat: str) -> tuple[str, str]:
        """State and owner of a seat."""

    def pool(self) -> tuple[int, dict[str, int], dict[str, int]]:
        """Places free, held and sold."""

    def fail(self, neighbour: str, fault: str, after: bool = False) -> None:
        """The next call fails: `down`, `busy` with Retry-After 7, or a permanent refusal."""

    def switch(self, on: bool) -> None:
        """Stop or restart both neighbours."""


class FakeWorld:
    FAULTS = {
        "down": TransientError("down"),
        "busy": TransientError("busy", 7.0),
        "refuse": PermanentError("no"),
    }

    def __init__(self) -> None:
        self.api, self.inventory = FakeReservationApi(), FakeInventory()
        self.inventory.rows[SHOW] = {}
        self.inventory.pools[SHOW] = FakePool(100)

    def seed(self, reservation_id: str, *seats: str, quantity: int = 0) -> None:
        quantity = len(seats) or quantity
        self.api.reservations[reservation_id] = Reservation("HOLD", SHOW, seats, quantity)
        if seats:
            self.inventory.rows[SHOW] |= dict.fromkeys(seats, ("RESERVED", reservation_id))
        else:
            self.inventory.pools[SHOW].available -= quantity
            self.inventory.pools[SHOW].held[reservation_id] = quantity

    def row(self, seat: str) -> tuple[str, str]:
        return self.inventory.rows[SHOW][seat]

    def pool(self) -> tuple[int, dict[str, int], dict[str, int]]:
        pool = self.inventory.pools[SHOW]
        return pool.available, pool.held, pool.sold

    def fail(self, neighbour: str, fault: str, after: bool = False) -> None:
        error = self.FAULTS[fault]
        fake = self.api if neighbour == "api" else self.inventory
        fake.script.append(Lost(error) if after else error)

    def switch(self, on: bool) -> None:
        self.api.reachable = self.inventory.reachable = on


class RealWorld:
    FAULTS: dict[tuple[str, str], dict[str, Any]] = {
        ("api", "down"): {"status": 503},
        ("api", "busy"): {"status": 429, "headers": {"Retry-After": "7"}},
        ("api", "refuse"): {"status": 422},
        ("inventory", "down"): {"code": "UNAVAILABLE"},
        ("inventory", "busy"): {"code": "RESOURCE_EXHAUSTED"},
        ("inventory", "refuse"): {"code": "INVALID_ARGUMENT"},
    }

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.ledger.seats.add_pool(SHOW, 100)
        self.servers = (
            ReservationApiServer(self.ledger.reservations),
            InventoryServer(self.ledger.seats),
        )
        self.switch(on=True)
        self.api = ReservationClient(self.servers[0].base, connections=4)
        self.inventory = InventoryClient(self.servers[1].address)

    def close(self) -> None:
        self.api.close()
        self.inventory.close()
        self.switch(on=False)

    def seed(self, reservation_id: str, *seats: str, quantity: int = 0) -> None:
        self.ledger.seed([Record(reservation_id, SHOW, seats, quantity)])

    def row(self, seat: str) -> tuple[str, str]:
        state, owner = self.ledger.dump()["seats"][SHOW][seat]
        return state, owner

    def pool(self) -> tuple[int, dict[str, int], dict[str, int]]:
        pool = self.ledger.dump()["pools"][SHOW]
        return pool["available"], pool["held"], pool["sold"]

    def fail(self, neighbour: str, fault: str, after: bool = False) -> None:
        server = self.servers[0 if neighbour == "api" else 1]
        server.faults.answer(self.FAULTS[neighbour, fault], after=after)

    def switch(self, on: bool) -> None:
        for server in self.servers:
            if on:
                server.start()
            else:
                server.stop()
