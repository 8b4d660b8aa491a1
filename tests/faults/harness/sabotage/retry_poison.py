"""Sabotage: an invalid event is tried again instead of being rejected at once."""

from typing import Any

from reservation_worker.config.settings import Settings
from reservation_worker.events.parse import Ignored
from reservation_worker.outcome import Ack, Outcome, Retry
from reservation_worker.pipeline import processor
from tests.faults.harness.sabotage.entry import main


def _without_handler(content: Ignored | Exception) -> Outcome:
    if isinstance(content, Ignored):
        return Ack(content.reason, dropped=True)
    return Retry(str(content), failed=processor.HANDLER)


def overrides(settings: Settings) -> dict[str, Any]:
    processor._without_handler = _without_handler
    return {}


if __name__ == "__main__":
    main(overrides)
