"""Sabotage: the Failed[] of a batch delete that SQS answered with HTTP 200 is never looked at."""

from collections.abc import Sequence
from typing import Any

from reservation_worker.config.settings import Settings
from reservation_worker.sqs.batches import BatchFailure
from reservation_worker.sqs.queue import SqsQueue
from tests.faults.harness.sabotage.entry import main


class ForgetsFailed(SqsQueue):
    def delete(self, receipts: Sequence[str]) -> dict[int, BatchFailure]:
        super().delete(receipts)
        return {}


def overrides(settings: Settings) -> dict[str, Any]:
    queue = ForgetsFailed(settings.sqs_queue_url, settings.sqs_region, settings.sqs_wait_time, 30)
    return {"queue": queue, "facts": queue.describe()}


if __name__ == "__main__":
    main(overrides)
