"""Sabotage: the queue's attributes are read at the start and believed for ever."""

from typing import Any

from reservation_worker import bootstrap
from reservation_worker.config.settings import Settings
from reservation_worker.sqs.watch import AttributeWatch
from tests.faults.harness.sabotage.entry import main


class ReadsOnce(AttributeWatch):
    def start(self) -> None:
        pass


def overrides(settings: Settings) -> dict[str, Any]:
    vars(bootstrap)["AttributeWatch"] = ReadsOnce
    return {}


if __name__ == "__main__":
    main(overrides)
