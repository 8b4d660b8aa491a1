"""Thread: receives messages when there is room for them and no breaker is open."""

import threading
from collections.abc import Callable, Iterable, Iterator

import backoff
from loguru import logger

from reservation_worker.clock import Clocks
from reservation_worker.errors import SqsError
from reservation_worker.observability.metrics import Metrics
from reservation_worker.pipeline.breakers import Breakers
from reservation_worker.pipeline.custody import Custody
from reservation_worker.pipeline.delivery import Delivery, open_delivery
from reservation_worker.pipeline.dispatcher import Dispatcher
from reservation_worker.pipeline.leases import Leases
from reservation_worker.sqs.facts import HOPELESS
from reservation_worker.sqs.queue import READ_MARGIN, Queue

LONGEST_PAUSE = 30
"""The longest pause after failed receives, in seconds."""
IDLE = 1.0
"""How long the poller waits for room or for a breaker before it looks again, in seconds."""
GATHER = 0.01
"""The pause after a receive that brought fewer messages than asked for, in seconds.

Messages that come one by one would otherwise cost a receive each.
"""
LATE = 4 * READ_MARGIN
"""How many seconds beyond its wait the poller may be silent before it is late."""


class Poller:
    """The only thread that receives. It parses too, because priority needs the event's type."""

    def __init__(
        self,
        queue: Queue,
        dispatcher: Dispatcher,
        breakers: Breakers,
        custody: Custody,
        leases: Leases,
        metrics: Metrics,
        give_back: Callable[[Iterable[Delivery]], None],
        wait: int,
        clocks: Clocks,
    ) -> None:
        self._queue = queue
        self._dispatcher = dispatcher
        self._breakers = breakers
        self._custody = custody
        self._leases = leases
        self._metrics = metrics
        self._give_back = give_back
        self._wait = wait
        self._clocks = clocks
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)
        self._seen_at = clocks.monotonic()
        self.errors_in_a_row = 0
        self.has_received = False

    def start(self) -> None:
        """Start polling."""
        self._seen_at = self._clocks.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Start no new receive; a long poll under way ends by itself. Safe at any time."""
        self._stop.set()

    def join(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds for the thread; true if it has ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def late(self) -> bool:
        """Whether the thread is dead, or silent for longer than a receive may take.

        A pause does not count: only a poller that a restart would help is late.
        """
        if self._thread.ident is None:
            return False  # not started yet
        return not self._thread.is_alive() or self.silent() > self._wait + LATE

    def silent(self) -> float:
        """Seconds since the last sign of life; 0 in a pause, before the start and in a stop."""
        if self._thread.ident is None or self._stop.is_set():
            return 0.0
        return max(0.0, self._clocks.monotonic() - self._seen_at)

    def _run(self) -> None:
        pauses = _pauses()
        while not self._stop.is_set():
            self._seen_at = self._clocks.monotonic()
            try:
                self._poll()
            except Exception as error:
                self.errors_in_a_row += 1
                self._metrics.poll_errors.inc()
                pause = next(pauses)
                # A traceback only for unexpected errors.
                logger.opt(exception=not isinstance(error, SqsError)).error(
                    "receive failed, next in {:.1f} s: {}", pause, error
                )
                self._pause(pause)
            else:
                pauses = _pauses()

    def _poll(self) -> None:
        if self._leases.visibility == 0:
            # Each receive would only bring the messages closer to maxReceiveCount.
            raise SqsError("NoVisibilityTimeout", HOPELESS)
        self._breakers.probe_due_ones()
        limit = self._breakers.limit()
        if limit == 0:
            self._pause(min(IDLE, max(0.05, self._breakers.remaining())))
            return
        room = self._dispatcher.room(limit, IDLE)
        # The slots may have been freed by failures that opened a breaker.
        if room == 0 or self._stop.is_set() or self._breakers.limit() == 0:
            return
        with self._custody.receiving():
            deliveries = self._receive(room)
            self._custody.take(deliveries)
        self._give_back(self._dispatcher.accept(deliveries))
        if 0 < len(deliveries) < room:
            self._pause(GATHER)

    def _receive(self, room: int) -> list[Delivery]:
        # The first receive does not wait, so that an idle worker is ready at once.
        wait = self._wait if self.has_received else 0
        asked_at = self._clocks.monotonic()
        messages = self._queue.receive(room, wait)
        received_at = self._clocks.monotonic()
        # SQS sent an answer that took longer than its wait earlier than it arrived.
        leased_at = min(received_at, asked_at + wait + 1)
        self.has_received = True
        self.errors_in_a_row = 0
        self._metrics.receives.labels("messages" if messages else "empty").inc()
        for message in messages:
            if message.since_sent is not None:
                self._metrics.observe_age(message.since_sent)
        return [
            open_delivery(message, received_at, self._leases.open(message.receipt, leased_at))
            for message in messages
        ]

    def _pause(self, seconds: float) -> None:
        # A pause does not make the poller late.
        self._seen_at = self._clocks.monotonic() + seconds
        self._stop.wait(seconds)


def _pauses() -> Iterator[float]:
    """Growing jittered pauses in seconds."""
    for longest in backoff.expo(max_value=LONGEST_PAUSE):
        if longest is not None:  # backoff's generators yield None once, to be started
            yield backoff.full_jitter(longest)
