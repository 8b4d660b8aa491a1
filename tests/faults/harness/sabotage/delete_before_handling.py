"""Sabotage: a message is deleted when it is received, by an auto-acknowledging consumer."""

from typing import Any

from reservation_worker.config.settings import Settings
from reservation_worker.sqs.queue import Message, SqsQueue
from tests.faults.harness.sabotage.entry import main


class DeletesFirst(SqsQueue):
    def receive(self, limit: int, wait: int) -> list[Message]:
        messages = super().receive(limit, wait)
        if messages:
            self.delete([message.receipt for message in messages])
        return messages


def overrides(settings: Settings) -> dict[str, Any]:
    queue = DeletesFirst(settings.sqs_queue_url, settings.sqs_region, settings.sqs_wait_time, 30)
    return {"queue": queue, "facts": queue.describe()}


if __name__ == "__main__":
    main(overrides)
