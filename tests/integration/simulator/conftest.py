"""A ledger, the simulated inventory-svc in front of it, and threads to call it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from reservation_worker.simulator.neighbours.inventory import InventoryServer
from reservation_worker.simulator.neighbours.ledger import Ledger
from reservation_worker.simulator.neighbours.reservations import Record
from tests.integration.simulator.inventory import HALL, LAWN, Inventory


@pytest.fixture
def ledger() -> Ledger:
    made = Ledger()
    seated = [Record(f"rsv_{n}", HALL, (f"A{n}", f"B{n}"), user_id="user_1") for n in range(1, 9)]
    made.seed([*seated, Record("rsv_lawn", LAWN, quantity=3)], {LAWN: 3})
    return made


@pytest.fixture
def inventory(ledger: Ledger) -> Iterator[Inventory]:
    server = InventoryServer(ledger.seats)
    server.start()
    made = Inventory(server)
    yield made
    made.channel.close()
    server.stop()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as made:
        yield made
