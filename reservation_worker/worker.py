"""The built worker: the order in which its parts start and stop."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from loguru import logger

from reservation_worker import __version__
from reservation_worker.config.settings import Settings
from reservation_worker.notifications import FLUSH, Notifier
from reservation_worker.observability.metrics import Metrics
from reservation_worker.observability.tracing import Tracing
from reservation_worker.pipeline.assembly import Pipeline
from reservation_worker.servers.debug.direct import DirectHandler
from reservation_worker.servers.debug.server import DebugServer
from reservation_worker.servers.health import HealthServer
from reservation_worker.sqs.watch import AttributeWatch
from reservation_worker.status.history import History


@dataclass(eq=False)
class Worker:
    """Starts and stops the parts. `closers` close the clients; `draining` is set by the stop."""

    settings: Settings
    metrics: Metrics
    tracing: Tracing
    pipeline: Pipeline
    history: History
    health: HealthServer
    debug: DebugServer
    direct: DirectHandler
    notifier: Notifier | None
    watch: AttributeWatch | None
    closers: Sequence[Callable[[], None]]
    draining: threading.Event
    _stop_lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _exit_code: int | None = field(default=None, init=False)

    def start(self) -> None:
        """Start the threads; the poller follows everything that it feeds.

        Raises RuntimeError if the system has no thread left.
        """
        if self.draining.is_set():
            return
        self.health.start()
        self.history.start()
        self.pipeline.dispatcher.start()
        self.pipeline.leases.start()
        self.pipeline.deleter.start()
        if self.notifier:
            self.notifier.start()
        if self.watch:
            self.watch.start()
        self.pipeline.poller.start()
        self.debug.start()
        logger.info(
            "reservation-worker {} started on queue {} in {}; status page {}, debug server on {}"
            " port {}",
            __version__,
            self.settings.queue_name,
            self.settings.sqs_region,
            self.health.url,
            self.debug.host,
            self.debug.port,
        )

    def stop(self) -> int:
        """Stop in order, within SHUTDOWN_TIMEOUT; 0 if every message was settled or given back.

        Safe before start and twice: the second call waits for the first and returns its code.
        """
        with self._stop_lock:
            if self._exit_code is None:
                self._exit_code = self._stop()
            return self._exit_code

    def _stop(self) -> int:
        began = time.monotonic()
        limit = self.settings.shutdown_timeout
        parts = self.pipeline

        def left(share: float) -> float:
            return max(0.0, began + share * limit - time.monotonic())

        # 1. At once: /ready turns red, nothing is received, waiting messages go to other pods.
        self.draining.set()
        self.metrics.drain_seconds.set_function(lambda: time.monotonic() - began)
        parts.poller.stop()
        waiting = parts.dispatcher.close()
        _within(left(0.7), lambda: parts.completer.give_back(waiting))
        # 2. Meanwhile the pool works on, and a long poll ends by itself: cut off, it would leave
        #    messages that SQS has handed out to nobody. The messages it brings are given back.
        parts.poller.join(max(left(0.7), min(left(0.8), self.settings.sqs_wait_time + 0.5)))
        # 3. Messages that still run are fenced, and come back when their call must be over.
        parts.dispatcher.wait_idle(left(0.8))
        self.direct.fence()
        running = parts.dispatcher.running()
        _within(left(26 / 30), lambda: parts.completer.give_back(running))
        # 4. The acks are flushed, and no lease needs renewing any more.
        parts.deleter.stop(left(28 / 30))
        parts.leases.stop()
        if self.watch:
            self.watch.stop()
        self.history.stop()
        # 5. Notifications and telemetry, so that the last ones are sent; then clients; health last.
        parts.dispatcher.shutdown()
        if self.notifier:
            self.notifier.stop(min(FLUSH, left(28.5 / 30)))
        self.tracing.shutdown(left(29 / 30))
        # It has handled nothing since the dispatcher was closed, but reported the state until now.
        self.debug.stop(min(1.0, left(29 / 30)))
        for close in self.closers:
            _within(left(29.5 / 30), close)
        self.health.stop(left(1))
        # Not earlier, because a thread may have ended after the flush.
        still_open = parts.custody.open()
        logger.info(
            "stopped in {:.1f} s: {} messages neither settled nor given back",
            time.monotonic() - began,
            still_open,
        )
        return 1 if still_open else 0


def _within(timeout: float, work: Callable[[], None]) -> None:
    """Run `work`, waiting at most `timeout` seconds for it."""
    thread = threading.Thread(target=work, name="stop", daemon=True)
    try:
        thread.start()
    except RuntimeError:
        # The system has no thread left. SHUTDOWN_TIMEOUT bounds the stop all the same.
        work()
        return
    thread.join(timeout)
