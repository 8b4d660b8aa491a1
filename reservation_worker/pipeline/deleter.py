"""Thread: deletes settled messages in batches of ten, or after a short linger."""

import threading
from collections.abc import Callable

from loguru import logger

from reservation_worker.errors import SqsError
from reservation_worker.observability.metrics import Metrics
from reservation_worker.pipeline.batching import LINGER, Batches
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.memory import SettledMemory
from reservation_worker.sqs.queue import Queue

ATTEMPTS = 3
"""How often a delete is tried when SQS says that its failure is not ours."""
PAUSE = 0.2
"""How long to wait before such another attempt, in seconds."""
PATIENCE = 5.0
"""How long a thread waits for room in the queue before its delete is given up, in seconds."""
CAPACITY = 1_000
"""Settled messages that may wait for their delete; a full queue holds the threads back."""


class Deleter:
    """Every delivery that is added is deleted, or remembered so that its copy is."""

    def __init__(
        self,
        sqs: Queue,
        memory: SettledMemory,
        metrics: Metrics,
        held: Callable[[Delivery], bool],
        linger: float = LINGER,
        pause: float = PAUSE,
    ) -> None:
        self._sqs = sqs
        self._memory = memory
        self._metrics = metrics
        self._held = held
        self._linger = linger
        self._pause = pause
        self._stopping = threading.Event()
        self._waiting: Batches[Delivery] = Batches(CAPACITY)
        self._pending = 0
        self._failed = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="deleter", daemon=True)

    def start(self) -> None:
        """Start deleting."""
        self._thread.start()

    def add(self, delivery: Delivery) -> None:
        """Delete this message soon."""
        with self._lock:
            self._pending += 1
        if not self._waiting.put(delivery, PATIENCE):
            self._give_up([delivery])

    @property
    def given_up(self) -> int:
        """How many deletes have been given up so far."""
        return self._failed

    def stop(self, timeout: float, given_up_before: int | None = None) -> int:
        """Flush what waits, for at most `timeout` seconds; returns how many are not deleted.

        Those given up count from `given_up_before` on (default: from now); the copies of earlier
        ones have come back since.
        """
        with self._lock:
            before = self._failed if given_up_before is None else given_up_before
        self._stopping.set()
        if self._thread.is_alive():
            self._waiting.close()
            self._thread.join(timeout)
            if self._thread.is_alive():
                logger.error("deletes do not get through; their messages come back")
        return self.undeleted(before)

    def undeleted(self, given_up_before: int) -> int:
        """How many are not deleted: what waits, and what was given up from then on."""
        with self._lock:
            return self._pending + self._failed - given_up_before

    def _run(self) -> None:
        while batch := self._waiting.take(self._linger):
            self._flush(batch)

    def _flush(self, batch: list[Delivery]) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            if not batch:
                return
            if attempt > 1:
                self._stopping.wait(self._pause)
            try:
                failures = self._sqs.delete([delivery.message.receipt for delivery in batch])
            except SqsError as error:
                logger.warning("delete attempt {} failed: {}", attempt, error)
                continue
            except Exception:
                logger.exception("a batch of deletes failed; its messages come back")
                break
            again = []
            for position, delivery in enumerate(batch):
                if position not in failures:
                    self._deleted(delivery)
                elif failures[position].sender_fault or failures[position].gone:
                    self._give_up([delivery])
                else:
                    again.append(delivery)
            batch = again
        self._give_up(batch)

    def _deleted(self, delivery: Delivery) -> None:
        if self._held(delivery):
            self._memory.forget(delivery.message.id)
        else:
            # An old receipt: SQS may say yes and keep the copy it has handed out since.
            self._memory.remember(delivery.message.id)
        with self._lock:
            self._pending -= 1

    def _give_up(self, batch: list[Delivery]) -> None:
        for delivery in batch:
            self._memory.remember(delivery.message.id)
            self._metrics.delete_failures.inc()
            logger.bind(message_id=delivery.message.id).warning(
                "a settled message could not be deleted; its copy will be"
            )
        with self._lock:
            self._pending -= len(batch)
            self._failed += len(batch)
