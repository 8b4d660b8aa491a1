"""No sabotage: the sound worker, which reads the queue's attributes each second."""

from functools import partial
from typing import Any

from reservation_worker import bootstrap
from reservation_worker.config.settings import Settings
from reservation_worker.sqs.watch import AttributeWatch
from tests.faults.harness.sabotage.entry import main


def overrides(settings: Settings) -> dict[str, Any]:
    vars(bootstrap)["AttributeWatch"] = partial(AttributeWatch, every=1.0)
    return {}


if __name__ == "__main__":
    main(overrides)
