"""Thread: deletes settled messages in batches of ten, or after a short linger."""

import threading
from collections import OrderedDict
from collections.abc import Callable

from loguru import logger

from reservation_worker.errors import SqsError
from reservation_worker.observability.metrics import Metrics
from reservation_worker.pipeline.batching import LINGER, Batches
from reservation_worker.pipeline.custody import Custody, Ending
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.sqs.queue import Queue

ATTEMPTS = 3
"""How often a delete is tried whose failure is not the sender's fault."""
PAUSE = 0.2
"""The pause before another attempt, in seconds."""
PATIENCE = 5.0
"""How long a thread waits for room in the queue before its delete is given up, in seconds."""
CAPACITY = 1_000
"""How many settled messages may wait for their delete; a full queue blocks the threads."""


class RecentIds:
    """The last `capacity` ids that were remembered and not forgotten since. Thread-safe."""

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, key: str) -> None:
        """Add an id as the youngest; a full memory drops the oldest."""
        with self._lock:
            self._ids[key] = None
            self._ids.move_to_end(key)
            while len(self._ids) > self._capacity:
                self._ids.popitem(last=False)

    def forget(self, key: str) -> None:
        """Drop an id, known or not."""
        with self._lock:
            self._ids.pop(key, None)

    def knows(self, key: str) -> bool:
        """Whether it is remembered."""
        with self._lock:
            return key in self._ids


class Deleter:
    """Deletes every delivery that is added, or remembers it so that its copy is deleted."""

    def __init__(
        self,
        queue: Queue,
        custody: Custody,
        metrics: Metrics,
        held: Callable[[Delivery], bool],
        linger: float = LINGER,
        pause: float = PAUSE,
    ) -> None:
        self._queue = queue
        self._custody = custody
        # The messages whose delete is not confirmed: their copies are only deleted.
        self.memory = RecentIds()
        self._metrics = metrics
        self._held = held
        self._linger = linger
        self._pause = pause
        self._stopping = threading.Event()
        self._waiting: Batches[Delivery] = Batches(CAPACITY)
        self._thread = threading.Thread(target=self._run, name="deleter", daemon=True)

    def start(self) -> None:
        """Start deleting."""
        self._thread.start()

    def add(self, delivery: Delivery) -> None:
        """Delete this message soon. From now on a copy of it is only deleted."""
        self.memory.remember(delivery.message.id)
        if not self._waiting.put(delivery, PATIENCE):
            self._give_up(delivery)

    def stop(self, timeout: float) -> None:
        """Flush the waiting deletes for at most `timeout` seconds; safe before start and twice."""
        self._stopping.set()
        if self._thread.is_alive():
            self._waiting.close()
            self._thread.join(timeout)
            if self._thread.is_alive():
                logger.error("deletes do not get through; their messages will be delivered again")

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
                failures = self._queue.delete([delivery.message.receipt for delivery in batch])
            except SqsError as error:
                logger.warning("delete attempt {} failed: {}", attempt, error)
                continue
            except Exception:
                logger.exception("a batch of deletes failed; its messages will be delivered again")
                break
            again = []
            for position, delivery in enumerate(batch):
                failure = failures.get(position)
                if failure is None:
                    self._deleted(delivery)
                elif failure.gone or failure.sender_fault:
                    self._give_up(delivery, gone=failure.gone)
                else:
                    again.append(delivery)
            batch = again
        for delivery in batch:
            self._give_up(delivery)

    def _deleted(self, delivery: Delivery) -> None:
        # After the lease a yes proves nothing: SQS may keep the copy that it has delivered since.
        if self._held(delivery):
            self.memory.forget(delivery.message.id)
        self._custody.end(delivery, Ending.DELETED)

    def _give_up(self, delivery: Delivery, *, gone: bool = False) -> None:
        # Again, as the youngest, because its copy is still to come.
        self.memory.remember(delivery.message.id)
        if gone:
            self._custody.end(delivery, Ending.LOST)
        else:
            self._custody.leave(delivery)
        self._metrics.delete_failures.inc()
        logger.bind(message_id=delivery.message.id).warning(
            "a settled message could not be deleted; its copy will be"
        )
