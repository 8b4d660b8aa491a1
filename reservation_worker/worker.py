"""The built worker: in which order its parts are started, and stopped."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from loguru import logger

from reservation_worker import __version__
from reservation_worker.config.settings import Settings
from reservation_worker.notifications import FLUSH, Notifier
from reservation_worker.observability.metrics import Metrics
from reservation_worker.observability.tracing import Tracing
from reservation_worker.pipeline.deleter import Deleter
from reservation_worker.pipeline.dispatcher import Dispatcher
from reservation_worker.pipeline.gate import Gate
from reservation_worker.pipeline.leases import Leases
from reservation_worker.pipeline.poller import Poller
from reservation_worker.pipeline.settler import Settler
from reservation_worker.servers.debug.direct import Direct
from reservation_worker.servers.debug.server import DebugServer
from reservation_worker.servers.health import HealthServer
from reservation_worker.status.history import History
from reservation_worker.status.recent import Recent


@dataclass(frozen=True, slots=True)
class App:
    """What is started and stopped, and what others look at."""

    settings: Settings
    metrics: Metrics
    tracing: Tracing
    closers: tuple[Callable[[], None], ...]
    leases: Leases
    deleter: Deleter
    settler: Settler
    dispatcher: Dispatcher
    direct: Direct
    gate: Gate
    poller: Poller
    health: HealthServer
    debug: DebugServer
    recent: Recent
    notifier: Notifier | None
    history: History
    draining: threading.Event
    _stop_lock: threading.Lock = field(default_factory=threading.Lock)
    # Empty until the stop has come to its end.
    _exit_codes: list[int] = field(default_factory=list)

    def start(self) -> None:
        """Start the threads; the poller last, when all it feeds is there.

        Raises RuntimeError when the system has no thread left.
        """
        if self.draining.is_set():
            return
        self.health.start()
        self.history.start()
        self.dispatcher.start()
        self.leases.start()
        self.deleter.start()
        if self.notifier:
            self.notifier.start()
        self.poller.start()
        self.debug.start()
        logger.info(
            "reservation-worker {} started, health on port {}, debug server on {} port {}",
            __version__,
            self.health.port,
            self.debug.host,
            self.debug.port,
        )

    def stop(self) -> int:
        """Stop in order, within SHUTDOWN_TIMEOUT; 0 if every message was settled or given back.

        Safe before start and twice: the second call waits for the first and returns its code.
        """
        with self._stop_lock:
            if not self._exit_codes:
                self._exit_codes.append(self._stop())
            return self._exit_codes[0]

    def _stop(self) -> int:
        began = time.monotonic()
        limit = self.settings.shutdown_timeout

        def left(share: float) -> float:
            return max(0.0, began + share * limit - time.monotonic())

        # 1. At once: /ready turns red, nothing new is received, what waits goes to other pods.
        # What failed before has come back since; only what the stop leaves behind counts.
        given_up, abandoned = self.deleter.given_up, self.settler.unsettled
        self.draining.set()
        self.metrics.drain_seconds.set_function(lambda: time.monotonic() - began)
        self.poller.stop()
        waiting = self.dispatcher.close()
        _within(left(0.7), lambda: self.settler.give_back(waiting))
        # 2. Meanwhile the pool works on and a long poll may end: cut off, it would leave a ghost
        #    receive, messages handed out to nobody. What it still brings is given back.
        polled = self.poller.join(max(left(0.7), min(left(0.8), self.settings.sqs_wait_time + 0.5)))
        # 3. What still runs is fenced and comes back when its call in flight must be over.
        self.dispatcher.wait_idle(left(0.8))
        self.direct.fence()
        running = self.dispatcher.running()
        _within(left(26 / 30), lambda: self.settler.give_back(running))
        # 4. The acks are flushed, and the leases of nobody need renewing any more.
        self.deleter.stop(left(28 / 30))
        self.leases.stop()
        self.history.stop()
        # 5. Notifications and telemetry, so that the last ones get out; then clients; health last.
        self.dispatcher.shutdown()
        if self.notifier:
            self.notifier.stop(min(FLUSH, left(28.5 / 30)))
        self.tracing.shutdown(left(29 / 30))
        # Its settlements have been refused since the dispatcher was closed; it told till here.
        self.debug.stop(min(1.0, left(29 / 30)))
        for close in self.closers:
            _within(left(29.5 / 30), close)
        self.health.stop(left(1))
        unsettled = sum(not delivery.settled for delivery in self.dispatcher.running())
        unsettled += self.settler.unsettled - abandoned
        # Only now: a thread may have added its delete after the flush.
        undeleted = self.deleter.undeleted(given_up)
        logger.info(
            "stopped in {:.1f} s: {} given back, {} not deleted, {} not settled",
            time.monotonic() - began,
            len(waiting) + len(running),
            undeleted,
            unsettled,
        )
        return 0 if polled and not undeleted and not unsettled else 1


def _within(timeout: float, work: Callable[[], None]) -> None:
    """Run `work`, waiting at most `timeout` seconds for it."""
    thread = threading.Thread(target=work, name="stop", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        # The system has no thread left: here, then; SHUTDOWN_TIMEOUT bounds the whole stop.
        work()
        return
    thread.join(timeout)
