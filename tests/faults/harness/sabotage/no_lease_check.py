"""Sabotage: leases are renewed, but never checked before a call or a settlement."""

from typing import Any

from reservation_worker.config.settings import Settings
from reservation_worker.pipeline import assembly
from reservation_worker.pipeline.leases import Lease, Leases
from tests.faults.harness.sabotage.entry import main


class Unchecked(Leases):
    def held(self, lease: Lease) -> bool:
        return True

    def begin_call(self, lease: Lease, wanted: float) -> float:
        self.wanted = wanted
        return wanted

    def call_left(self, lease: Lease) -> float:
        return self.wanted


def overrides(settings: Settings) -> dict[str, Any]:
    vars(assembly)["Leases"] = Unchecked
    return {}


if __name__ == "__main__":
    main(overrides)
