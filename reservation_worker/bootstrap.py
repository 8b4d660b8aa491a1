"""The composition root: builds the worker from its settings; lifecycle.py starts and stops it."""

import random
import threading
import time
from collections.abc import Callable

from loguru import logger
from prometheus_client import CollectorRegistry

from reservation_worker.clients.inventory import InventoryClient
from reservation_worker.clients.ports import Inventory, ReservationApi
from reservation_worker.clients.reservation import ReservationClient
from reservation_worker.config.settings import Settings
from reservation_worker.handlers.settlement import HANDLERS
from reservation_worker.notifications import Notifier, SnsTopic
from reservation_worker.observability.metrics import Metrics
from reservation_worker.observability.tracing import Tracing, exporter
from reservation_worker.pipeline.calls import INVENTORY, RESERVATION_API, Caller
from reservation_worker.pipeline.deleter import Deleter
from reservation_worker.pipeline.dispatcher import Dispatcher
from reservation_worker.pipeline.gate import Gate, Guarded
from reservation_worker.pipeline.leases import Leases
from reservation_worker.pipeline.memory import SettledMemory
from reservation_worker.pipeline.poller import Poller
from reservation_worker.pipeline.processor import DEADLINE_CALLS, Handlers, Processor
from reservation_worker.pipeline.settler import Settler
from reservation_worker.resilience.backoff import tries
from reservation_worker.resilience.breaker import Breaker, State
from reservation_worker.servers.debug.direct import Direct
from reservation_worker.servers.debug.live import Live
from reservation_worker.servers.debug.server import DebugServer
from reservation_worker.servers.health import HealthServer, make_app
from reservation_worker.servers.listening import listening
from reservation_worker.servers.profiles import make_profiles
from reservation_worker.sqs.facts import QueueFacts
from reservation_worker.sqs.fitness import describe
from reservation_worker.sqs.queue import Queue, SqsQueue
from reservation_worker.status.depth import DepthReader
from reservation_worker.status.document import Status
from reservation_worker.status.history import History
from reservation_worker.status.page import make_pages
from reservation_worker.status.probes import Probes
from reservation_worker.status.recent import Recent
from reservation_worker.worker import App


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
        exporter(*settings.collector) if settings.collector else None,
    )
    draining = threading.Event()
    closers: list[Callable[[], None]] = []
    if queue is None:
        queue = sqs = SqsQueue(
            settings.sqs_queue_url,
            settings.sqs_region,
            settings.sqs_wait_time,
            connections=settings.worker_concurrency + 10,
            dlq_url=settings.sqs_dlq_url,
        )
        facts = describe(sqs, settings.call_timeout, settings.max_retries)
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
    notifier: Notifier | None = None
    if settings.notification_topic_arn:
        topic = SnsTopic(settings.notification_topic_arn)
        closers.append(topic.close)
        notifier = Notifier(topic.publish, metrics)
    settler = Settler(
        queue,
        leases,
        deleter,
        metrics,
        settings.backoff_base_ms,
        settings.max_retries,
        clock,
        wall_clock,
        watchers=(recent.add, *([notifier.add] if notifier else [])),
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
    metrics.poller_silent.set_function(poller.silent)
    probes = Probes(poller, dispatcher, gate, deadline, draining.is_set)
    depths = DepthReader(queue.depths, clock)
    history = History(
        metrics, lambda: dispatcher.in_flight, lambda: dispatcher.busy, clock, wall_clock
    )
    status = Status(
        settings,
        metrics,
        probes,
        dispatcher,
        gate,
        leases,
        poller,
        recent,
        history,
        depths,
        draining.is_set,
    )
    live = Live(settings.pod_name, probes, draining.is_set, recent, dispatcher, depths, clock)
    direct = Direct(dispatcher, processor, leases, deadline, clock)
    health, debug = _servers(settings, metrics, probes, status, live, direct)
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
        notifier=notifier,
        history=history,
        draining=draining,
    )


def _servers(
    settings: Settings,
    metrics: Metrics,
    probes: Probes,
    status: Status,
    live: Live,
    direct: Direct,
) -> tuple[HealthServer, DebugServer]:
    pages = [make_pages(status.document, settings.explained())]
    if settings.debug_endpoints:
        pages.append(make_profiles())
    with listening("SERVER", settings.server_host, settings.server_port):
        web = make_app(probes, metrics.registry, *pages)
        health = HealthServer(web, settings.server_host, settings.server_port)
    host, port = settings.grpc_debug_host, settings.grpc_debug_port
    handle = direct.handle if settings.grpc_debug_allow_write else None
    with listening("GRPC_DEBUG", host, port):
        return health, DebugServer(host, port, live, handle, direct.deadline)
