"""Sabotage: gRPC status OK is taken for success, whatever the response says."""

from typing import Any

from reservation_worker.clients import inventory
from reservation_worker.clients.verdict import Verdict
from reservation_worker.config.settings import Settings
from tests.faults.harness.sabotage.entry import main


def overrides(settings: Settings) -> dict[str, Any]:
    inventory.judge_release = lambda answer: Verdict.DONE
    inventory.judge_commit = lambda answer: Verdict.DONE
    return {}


if __name__ == "__main__":
    main(overrides)
