"""The simulated neighbours' state: two ledgers over one journal. No I/O."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.neighbours.journal import Journal
from reservation_worker.simulator.neighbours.reservations import Record, ReservationLedger
from reservation_worker.simulator.neighbours.seats import SeatLedger


class Ledger:
    """Reservations and seats, seeded together and dumped together, both of one character.

    `key_ttl` (seconds) overrides the character's; `clock` counts them.
    """

    def __init__(
        self,
        character: Character = Character.CONTRACT,
        key_ttl: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.journal = Journal()
        self.reservations = ReservationLedger(self.journal, character)
        ttl = character.key_ttl if key_ttl is None else key_ttl
        self.seats = SeatLedger(self.journal, character, ttl, clock)

    def seed(self, records: Iterable[Record], pools: Mapping[str, int] | None = None) -> None:
        """Add reservations and pools, before the first event."""
        for show, capacity in (pools or {}).items():
            self.seats.add_pool(show, capacity)
        for record in records:
            self.seats.seed(record)
            self.reservations.seed(record)

    def dump(self, since: int = 0) -> dict[str, Any]:
        """Everything as plain JSON values; of the journal only the entries after number `since`."""
        return {
            "character": self.seats.character.value,
            "journal": self.journal.entries(since),
            "reservations": self.reservations.snapshot(),
            **self.seats.snapshot(),
        }
