"""Sabotage: gRPC status OK counts as success, whatever the response contains."""

from typing import Any

from reservation_worker.clients import inventory
from reservation_worker.clients.meaning import Meaning
from reservation_worker.config.settings import Settings
from tests.faults.harness.sabotage.entry import main


def overrides(settings: Settings) -> dict[str, Any]:
    inventory.classify_release = lambda answer: Meaning.DONE
    inventory.classify_commit = lambda answer: Meaning.DONE
    return {}


if __name__ == "__main__":
    main(overrides)
