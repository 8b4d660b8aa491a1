"""No sabotage: the sound worker, which reads the queue's attributes each second."""

from typing import Any

from reservation_worker import bootstrap
from reservation_worker.config.settings import Settings
from reservation_worker.sqs.watch import AttributeWatch
from tests.faults.harness.sabotage.entry import main


class EachSecond(AttributeWatch):
    def look(self) -> float:
        super().look()
        return 1.0


def overrides(settings: Settings) -> dict[str, Any]:
    vars(bootstrap)["AttributeWatch"] = EachSecond
    return {}


if __name__ == "__main__":
    main(overrides)
