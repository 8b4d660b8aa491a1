"""sqs-workers. It takes messages as they are through a RawQueue."""

import json
import os
from threading import Thread
from typing import Any

from sqs_workers import RawQueue, SQSEnv

from benchmarks.peers.work import CONCURRENCY, settle


def handle(message: Any) -> None:
    """One message, as boto3's resource."""
    settle(json.loads(message.body))


def main() -> None:
    """A thread for each event in flight: a queue's loop handles its ten one after the other."""
    # One environment each, because boto3's resources must not be shared by threads, nor made in
    # them.
    for environment in [SQSEnv() for _ in range(CONCURRENCY)]:
        queue = environment.queue(
            "reservation-events", RawQueue, queue_url=os.environ["SQS_QUEUE_URL"]
        )
        queue.raw_processor()(handle)
        Thread(target=queue.process_queue).start()


if __name__ == "__main__":
    main()
