"""The thread pool, the backlog that picks its next message, and the slots in front of both."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from loguru import logger

from reservation_worker.pipeline.backlog import Backlog
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.sqs.batches import BATCH

MOST_TEXT = 1024 * 1024
"""Nothing is received while the bodies in flight have so many characters, as SQS's largest has.

A parsed body takes ten times its size; one batch beyond this limit still fits into 256 MiB.
"""


class Dispatcher:
    """Starts deliveries on `concurrency` threads. `deadline` bounds a whole handling, in seconds.

    A ThreadPoolExecutor queues without bound. The slots (`concurrency` and one batch that waits
    meanwhile) are the back-pressure: no more messages are received than there are slots.
    """

    def __init__(
        self,
        concurrency: int,
        process: Callable[[Delivery], None],
        clock: Callable[[], float],
        deadline: float = float("inf"),
    ) -> None:
        self.concurrency = concurrency
        self.slots = concurrency + BATCH
        self._process = process
        self._clock = clock
        self._deadline = deadline
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        # For the poller alone, which need not wake for every message that ends.
        self._room_freed = threading.Condition(self._lock)
        self._backlog = Backlog()
        self._running: set[Delivery] = set()
        # The keys that are held outside the pool, and since when.
        self._exclusive: dict[str, float] = {}
        self._in_flight = 0
        self._text = 0
        self._closed = False
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="worker")

    def start(self) -> None:
        """Start all threads at once, before memory gets short. Raises RuntimeError."""
        all_there = threading.Barrier(self.concurrency + 1)
        try:
            for _ in range(self.concurrency):
                self._pool.submit(all_there.wait)
        except RuntimeError:
            all_there.abort()
            raise
        all_there.wait()

    @property
    def in_flight(self) -> int:
        """Deliveries that hold a slot."""
        return self._in_flight

    @property
    def busy(self) -> int:
        """Threads that handle a message."""
        return len(self._running)

    def running(self) -> list[Delivery]:
        """The deliveries that are being handled now."""
        with self._lock:
            return list(self._running)

    def overdue(self, deadline: float) -> int:
        """How many deliveries have been handled for longer than `deadline` seconds."""
        with self._lock:
            return len(self._stuck(deadline))

    def _stuck(self, deadline: float) -> list[Delivery]:
        since = self._clock() - deadline
        return [one for one in self._running if (one.started_at or 0.0) < since]

    def _held_up(self) -> list[Delivery]:
        """Deliveries that are stuck beyond their deadline, and those that wait behind them."""
        stuck = self._stuck(self._deadline)
        since = self._clock() - self._deadline
        keys = [one.key for one in stuck]
        keys += [key for key, began in self._exclusive.items() if began < since]
        return stuck + [one for key in keys for one in self._backlog.waiting_for(key)]

    def room(self, limit: int | None, timeout: float) -> int:
        """How many messages to receive, waiting at most `timeout` seconds for room; 0: none now.

        That is a full batch, or fewer only if a thread would otherwise idle.
        `limit` bounds the messages in flight (a breaker that is not closed).
        """
        with self._lock:
            self._room_freed.wait_for(lambda: self._closed or self._room(limit) > 0, timeout)
            return 0 if self._closed else self._room(limit)

    def _room(self, limit: int | None) -> int:
        if not self._worth_a_receive():
            return 0
        free = self.slots - self._in_flight
        if limit is None and self._text < MOST_TEXT:
            return min(free, BATCH)
        # Deliveries that are held up must not keep the others out for ever.
        held_up = self._held_up()
        if self._text - sum(len(one.message.body) for one in held_up) >= MOST_TEXT:
            return 0
        if limit is not None:
            free = min(free, limit - self._in_flight + len(held_up))
        return max(0, min(free, BATCH))

    def _worth_a_receive(self) -> bool:
        idle = not self._backlog and len(self._running) < self.concurrency
        return idle or self.slots - self._in_flight >= BATCH

    def accept(self, deliveries: Iterable[Delivery]) -> list[Delivery]:
        """Take deliveries on; returns those that are not handled here, to be given back.

        After `close` that is all of them. Before, it is any that waited until its lease was over:
        copies that wait behind a stuck delivery would otherwise fill all slots.
        """
        with self._lock:
            if self._closed:
                return list(deliveries)
            lapsed = self._backlog.lapsed(self._clock())
            for delivery in lapsed:
                self._hold(delivery, -1)
            ready = 0
            for delivery in deliveries:
                self._hold(delivery, 1)
                ready += self._backlog.push(delivery)
            self._wake(ready)
            return lapsed

    def _wake(self, ready: int) -> None:
        # A busy thread takes the next delivery by itself; tasks for it would pile up.
        for _ in range(min(ready, self.concurrency - len(self._running))):
            self._pool.submit(self._run_waiting)

    @contextmanager
    def exclusive(self, key: str, timeout: float) -> Iterator[bool]:
        """Keep a reservation's deliveries waiting while the caller handles it outside the pool.

        Yields false, and keeps nothing, if `key` stays taken `timeout` seconds or after `close`.
        """
        with self._lock:
            self._changed.wait_for(lambda: self._closed or key not in self._backlog, timeout)
            mine = not self._closed and self._backlog.take(key)
            if mine:
                self._exclusive[key] = self._clock()
        try:
            yield mine
        finally:
            if mine:
                with self._lock:
                    del self._exclusive[key]
                    self._wake(self._backlog.done(key))
                    self._notify_ended()

    def close(self) -> list[Delivery]:
        """Start no more deliveries; returns those that had not started. Running ones go on."""
        with self._lock:
            self._closed = True
            waiting = self._backlog.drain()
            for delivery in waiting:
                self._hold(delivery, -1)
            self._notify_ended()
            return waiting

    def _notify_ended(self) -> None:
        """Wake the threads that wait for the end of a handling."""
        self._changed.notify_all()
        if self._closed or self._worth_a_receive():
            self._room_freed.notify_all()

    def _hold(self, delivery: Delivery, sign: int) -> None:
        self._in_flight += sign
        self._text += sign * len(delivery.message.body)

    def wait_idle(self, timeout: float) -> bool:
        """Wait until nothing runs, in the pool or outside, at most `timeout` seconds."""
        with self._lock:
            return self._changed.wait_for(
                lambda: not self._running and not self._exclusive, timeout
            )

    def _run_waiting(self) -> None:
        """A pool task: handles deliveries until none is ready."""
        while (delivery := self._next()) is not None:
            try:
                self._process(delivery)
            except BaseException:
                # The slot is freed all the same, and the lease runs out by itself.
                logger.exception("a message could not be settled; it will be delivered again")
            with self._lock:
                self._running.discard(delivery)
                self._hold(delivery, -1)
                self._backlog.done(delivery.key)
                self._notify_ended()

    def _next(self) -> Delivery | None:
        with self._lock:
            if not self._backlog:
                return None
            delivery = self._backlog.pop()
            delivery.started_at = self._clock()
            self._running.add(delivery)
            if self._worth_a_receive():
                self._room_freed.notify_all()
            return delivery

    def shutdown(self) -> None:
        """Let the idle threads end; a stuck one is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
