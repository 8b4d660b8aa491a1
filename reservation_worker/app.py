"""The composition root: builds the worker from its settings, starts it and stops it in order."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from loguru import logger
from prometheus_client import CollectorRegistry

from reservation_worker import __version__
from reservation_worker.clients.inventory import InventoryClient
from reservation_worker.clients.ports import Inventory, ReservationApi
from reservation_worker.clients.reservation import ReservationClient
from reservation_worker.config import Settings
from reservation_worker.handlers.settlement import HANDLERS
from reservation_worker.observability.metrics import Metrics
from reservation_worker.observability.recent import Recent
from reservation_worker.observability.tracing import Tracing, exporter
from reservation_worker.pipeline.calls import INVENTORY, RESERVATION_API, Caller
from reservation_worker.pipeline.deleter import Deleter
from reservation_worker.pipeline.depth import DepthReader
from reservation_worker.pipeline.direct import Direct
from reservation_worker.pipeline.dispatcher import Dispatcher
from reservation_worker.pipeline.fitness import describe
from reservation_worker.pipeline.gate import Gate, Guarded
from reservation_worker.pipeline.leases import Leases
from reservation_worker.pipeline.memory import SettledMemory
from reservation_worker.pipeline.poller import Poller
from reservation_worker.pipeline.processor import DEADLINE_CALLS, Handlers, Processor
from reservation_worker.pipeline.settler import Settler
from reservation_worker.pipeline.sqs import Queue, QueueFacts, SqsQueue
from reservation_worker.resilience.backoff import tries
from reservation_worker.resilience.breaker import Breaker, State
from reservation_worker.servers.debug import DebugServer
from reservation_worker.servers.health import HealthServer, make_app
from reservation_worker.servers.listening import listening
from reservation_worker.servers.live import Live
from reservation_worker.servers.probes import Probes
from reservation_worker.servers.profiles import make_profiles


@dataclass(frozen=True, slots=True)
class App:
    """The built worker: what is started and stopped, and what others look at."""

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
        self.dispatcher.start()
        self.leases.start()
        self.deleter.start()
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
        self.metrics.drain_seconds.set(time.monotonic() - began)
        # 5. Telemetry, so that the last spans are exported; then clients; health last.
        self.dispatcher.shutdown()
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


def build(
    settings: Settings,
    *,
    queue: Queue | None = None,
    facts: QueueFacts | None = None,
    reservation_api: ReservationApi | None = None,
    inventory: Inventory | None = None,
    handlers: Handlers = HANDLERS,
    clock: Callable[[], float] = time.monotonic,
    wall_clock: Callable[[], float] = time.time,
) -> App:
    """Put the worker together; what is given takes the place of the real part.

    Raises OperationError when SERVER_PORT or GRPC_DEBUG_PORT can't be had.
    """
    metrics = Metrics(CollectorRegistry())
    queue_name = settings.sqs_queue_url.rsplit("/", 1)[-1]
    tracing = Tracing(
        settings.pod_name,
        queue_name,
        exporter(settings.otel_endpoint, settings.otel_insecure)
        if settings.otel_endpoint
        else None,
    )
    draining = threading.Event()
    closers: list[Callable[[], None]] = []
    depths: DepthReader | None = None
    if queue is None:
        queue = sqs = SqsQueue(
            settings.sqs_queue_url,
            settings.sqs_region,
            settings.sqs_wait_time,
            connections=settings.worker_concurrency + 10,
            dlq_url=settings.sqs_dlq_url,
        )
        facts = describe(sqs, settings.call_timeout, settings.max_retries)
        depths = DepthReader(sqs.depths, clock)
        closers.append(sqs.close)
    facts = facts or QueueFacts()
    if reservation_api is None:
        reservation_api = rest = ReservationClient(
            settings.reservation_api_base, settings.worker_concurrency
        )
        closers.append(rest.close)
    if inventory is None:
        inventory = grpc = InventoryClient(
            settings.inventory_grpc_addr, settings.inventory_grpc_tls
        )
        closers.append(grpc.close)

    def changed(neighbour: str, state: State) -> None:
        metrics.breaker_state.labels(neighbour).set(state)
        logger.warning("the breaker of {} is {}", neighbour, state.name.lower())

    def guarded(name: str, probe: Callable[[float], None]) -> Guarded:
        metrics.breaker_state.labels(name).set(State.CLOSED)
        return Guarded(Breaker(name, clock, random.random, changed), probe)

    gate = Gate(
        {
            RESERVATION_API: guarded(RESERVATION_API, reservation_api.probe),
            INVENTORY: guarded(INVENTORY, inventory.probe),
        }
    )
    deadline = DEADLINE_CALLS * settings.call_timeout
    leases = Leases(queue, facts.visibility, clock, metrics, patience=2 * deadline)
    memory = SettledMemory()
    deleter = Deleter(queue, memory, metrics, lambda delivery: leases.held(delivery.lease))
    recent = Recent()
    settler = Settler(
        queue,
        leases,
        deleter,
        metrics,
        settings.backoff_base_ms,
        settings.max_retries,
        clock,
        wall_clock,
        watchers=(recent.add,),
    )
    processor = Processor(
        handlers,
        Caller(reservation_api, inventory, gate, leases, tracing, settings.call_timeout, clock),
        settler,
        memory,
        metrics,
        tries(settings.max_retries, facts.max_receive_count),
    )
    dispatcher = Dispatcher(settings.worker_concurrency, processor.process, clock, deadline)
    metrics.watch(lambda: dispatcher.busy, lambda: dispatcher.in_flight, dispatcher.slots)
    poller = Poller(
        queue,
        dispatcher,
        gate,
        leases,
        metrics,
        settler.give_back,
        settings.sqs_wait_time,
        clock,
        wall_clock,
    )
    probes = Probes(poller, dispatcher, gate, deadline, draining.is_set)
    web = make_app(probes, metrics.registry)
    if settings.debug_endpoints:
        web.register_blueprint(make_profiles())
    with listening("SERVER", settings.server_host, settings.server_port):
        health = HealthServer(web, settings.server_host, settings.server_port)
    direct = Direct(dispatcher, processor, leases, deadline, clock)
    live = Live(settings.pod_name, probes, draining.is_set, recent, dispatcher, depths, clock)
    debug_host, debug_port = settings.grpc_debug_host, settings.grpc_debug_port
    handle = direct.handle if settings.grpc_debug_allow_write else None
    with listening("GRPC_DEBUG", debug_host, debug_port):
        debug = DebugServer(debug_host, debug_port, live, handle, deadline)
    return App(
        settings=settings,
        metrics=metrics,
        tracing=tracing,
        closers=tuple(closers),
        leases=leases,
        deleter=deleter,
        settler=settler,
        dispatcher=dispatcher,
        direct=direct,
        gate=gate,
        poller=poller,
        health=health,
        debug=debug,
        recent=recent,
        draining=draining,
    )
