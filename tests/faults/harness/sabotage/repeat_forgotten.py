"""Sabotage: a quantity is released again, however long ago inventory may have done it."""

from typing import Any

from reservation_worker.config.settings import Settings
from reservation_worker.pipeline import assembly
from reservation_worker.pipeline.neighbours import GuardedNeighbours
from tests.faults.harness.sabotage.entry import main


class NeverForgotten(GuardedNeighbours):
    def key_may_be_forgotten(self, replayed: bool) -> bool:
        return False


def overrides(settings: Settings) -> dict[str, Any]:
    vars(assembly)["GuardedNeighbours"] = NeverForgotten
    return {}


if __name__ == "__main__":
    main(overrides)
