"""Takes from a queue what comes together: up to ten, or what comes within a short linger."""

import queue
import time
from typing import TypeVar

BATCH = 10
"""The most entries in one batch of SQS or SNS: their limit."""
LINGER = 0.1
"""How long a batch waits to get full, in seconds."""

T = TypeVar("T")


def next_batch(waiting: "queue.Queue[T | None]", linger: float = LINGER) -> tuple[list[T], bool]:
    """The next batch, waiting for its first item; true when None was found: the end."""
    batch: list[T] = []
    item = waiting.get()
    until = time.monotonic() + linger
    while item is not None:
        batch.append(item)
        if len(batch) == BATCH:
            return batch, False
        try:
            item = waiting.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            return batch, False
    return batch, True
