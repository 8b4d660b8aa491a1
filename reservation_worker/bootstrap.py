"""The composition root: builds the worker from its settings; worker.py starts and stops it."""

import random
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from loguru import logger
from prometheus_client import CollectorRegistry

from reservation_worker.clients.inventory import InventoryClient
from reservation_worker.clients.ports import Inventory, ReservationApi
from reservation_worker.clients.reservation import ReservationClient
from reservation_worker.clock import awake
from reservation_worker.config.settings import Settings
from reservation_worker.handlers.settlement import HANDLERS
from reservation_worker.notifications import Notifier, SnsTopic
from reservation_worker.observability.metrics import Metrics
from reservation_worker.observability.tracing import Tracing, exporter
from reservation_worker.outcome import Settled
from reservation_worker.pipeline.breakers import Breakers, ProbedBreaker
from reservation_worker.pipeline.completer import Completer
from reservation_worker.pipeline.custody import Custody
from reservation_worker.pipeline.deleter import Deleter
from reservation_worker.pipeline.dispatcher import Dispatcher
from reservation_worker.pipeline.leases import Leases
from reservation_worker.pipeline.memory import SettledMemory
from reservation_worker.pipeline.neighbours import INVENTORY, RESERVATION_API, GuardedNeighbours
from reservation_worker.pipeline.poller import Poller
from reservation_worker.pipeline.processor import DEADLINE_CALLS, Handlers, Processor
from reservation_worker.resilience.breaker import Breaker, State
from reservation_worker.resilience.evidence import Evidence
from reservation_worker.servers.debug.direct import DirectHandler
from reservation_worker.servers.debug.server import DebugServer
from reservation_worker.servers.debug.state import WorkerState
from reservation_worker.servers.health import HealthServer, make_app
from reservation_worker.servers.listening import Ports
from reservation_worker.servers.profiles import make_profiles
from reservation_worker.sqs.facts import QueueFacts, misfits
from reservation_worker.sqs.queue import Queue, SqsQueue
from reservation_worker.sqs.watch import AttributeWatch
from reservation_worker.status.depth import DepthReader
from reservation_worker.status.document import Status
from reservation_worker.status.history import History
from reservation_worker.status.page import make_pages
from reservation_worker.status.probes import Probes
from reservation_worker.status.recent import RecentOutcomes
from reservation_worker.worker import Pipeline, Worker


def build(
    settings: Settings,
    *,
    queue: Queue | None = None,
    facts: QueueFacts | None = None,
    reservation_api: ReservationApi | None = None,
    inventory: Inventory | None = None,
    handlers: Handlers = HANDLERS,
    clock: Callable[[], float] = awake,
    wall_clock: Callable[[], float] = time.time,
) -> Worker:
    """Put the worker together; what is given takes the place of the real part.

    Raises OperationError when SERVER_PORT or GRPC_DEBUG_PORT can't be had.
    """
    metrics = Metrics(CollectorRegistry())
    tracing = _tracing(settings)
    draining = threading.Event()
    closers: list[Callable[[], None]] = []
    watch: AttributeWatch | None = None
    refused: Callable[[], Mapping[str, str]] = dict
    if queue is None:
        queue = sqs = SqsQueue(
            settings.sqs_queue_url,
            settings.sqs_region,
            settings.sqs_wait_time,
            connections=settings.worker_concurrency + 10,
            dlq_url=settings.sqs_dlq_url,
        )
        watch = AttributeWatch(
            sqs.describe,
            lambda facts: misfits(facts, settings.call_timeout, settings.max_retries),
        )
        watch.first_look()
        closers.append(sqs.close)
        refused = sqs.refused
    if reservation_api is None:
        reservation_api = rest = ReservationClient(
            settings.reservation_api_base,
            settings.worker_concurrency,
            settings.reservation_api_token_file,
        )
        closers.append(rest.close)
    if inventory is None:
        inventory = grpc = InventoryClient(
            settings.inventory_grpc_addr, settings.inventory_grpc_tls
        )
        closers.append(grpc.close)
    recent = RecentOutcomes()
    watchers: list[Callable[[Settled], None]] = [recent.add]
    notifier: Notifier | None = None
    if settings.notification_topic_arn:
        topic = SnsTopic(settings.notification_topic_arn)
        closers.append(topic.close)
        notifier = Notifier(topic.publish, metrics)
        watchers.append(notifier.add)
    pipeline = _pipeline(
        settings,
        queue,
        _facts(watch, facts),
        reservation_api,
        inventory,
        handlers,
        metrics,
        tracing,
        watchers,
        clock,
        wall_clock,
    )
    if watch:
        watch.on_change = lambda facts: pipeline.leases.resize(facts.visibility)
    dispatcher = pipeline.dispatcher
    deadline = DEADLINE_CALLS * settings.call_timeout
    history = History(
        metrics, lambda: dispatcher.in_flight, lambda: dispatcher.busy, clock, wall_clock
    )
    probes = Probes(
        pipeline.poller, dispatcher, pipeline.breakers, deadline, draining.is_set, refused
    )
    depths = DepthReader(queue.depths, clock)
    status = Status(
        settings,
        metrics,
        probes,
        dispatcher,
        pipeline.breakers,
        pipeline.leases,
        pipeline.poller,
        recent,
        history,
        depths,
        draining.is_set,
    )
    state = WorkerState(
        settings.pod_name, probes, draining.is_set, recent, dispatcher, depths, clock
    )
    direct = DirectHandler(dispatcher, pipeline.processor, pipeline.leases, deadline, clock)
    health, debug = _servers(settings, metrics, probes, status, state, direct)
    return Worker(
        settings,
        metrics,
        tracing,
        pipeline,
        history,
        health,
        debug,
        direct,
        notifier,
        watch,
        closers,
        draining,
    )


def _facts(watch: AttributeWatch | None, fixed: QueueFacts | None) -> Callable[[], QueueFacts]:
    """The queue's attributes as they are known now."""
    if watch:
        return lambda: watch.facts
    facts = fixed or QueueFacts()
    return lambda: facts


def _tracing(settings: Settings) -> Tracing:
    queue_name = settings.sqs_queue_url.rsplit("/", 1)[-1]
    export = exporter(*settings.collector) if settings.collector else None
    return Tracing(settings.pod_name, queue_name, export)


def _pipeline(
    settings: Settings,
    queue: Queue,
    facts: Callable[[], QueueFacts],
    reservation_api: ReservationApi,
    inventory: Inventory,
    handlers: Handlers,
    metrics: Metrics,
    tracing: Tracing,
    watchers: list[Callable[[Settled], None]],
    clock: Callable[[], float],
    wall_clock: Callable[[], float],
) -> Pipeline:
    deadline = DEADLINE_CALLS * settings.call_timeout
    breakers = _breakers(reservation_api, inventory, metrics, clock)
    evidence = Evidence(clock)
    custody = Custody(clock)
    leases = Leases(queue, facts().visibility, clock, metrics, patience=2 * deadline)
    memory = SettledMemory()
    deleter = Deleter(queue, custody, memory, metrics, lambda delivery: leases.held(delivery.lease))
    completer = Completer(
        queue,
        custody,
        leases,
        deleter,
        metrics,
        lambda: facts().max_receive_count,
        settings.backoff_base_ms,
        settings.max_retries,
        clock,
        wall_clock,
        watchers,
    )
    processor = Processor(
        handlers,
        partial(
            GuardedNeighbours,
            reservation_api,
            inventory,
            breakers,
            evidence,
            leases,
            tracing,
            settings.call_timeout,
            settings.inventory_key_ttl,
            wall_clock,
        ),
        breakers,
        evidence,
        leases,
        completer,
        memory,
        tracing,
        metrics,
        clock,
        wall_clock,
        settings.max_retries,
        lambda: facts().max_receive_count,
        deadline,
    )
    dispatcher = Dispatcher(settings.worker_concurrency, processor.process, clock, deadline)
    metrics.watch(lambda: dispatcher.busy, lambda: dispatcher.in_flight, dispatcher.slots)
    poller = Poller(
        queue,
        dispatcher,
        breakers,
        custody,
        leases,
        metrics,
        completer.give_back,
        settings.sqs_wait_time,
        clock,
        wall_clock,
    )
    metrics.poller_silent.set_function(poller.silent)
    return Pipeline(breakers, custody, leases, deleter, completer, processor, dispatcher, poller)


def _breakers(
    reservation_api: ReservationApi,
    inventory: Inventory,
    metrics: Metrics,
    clock: Callable[[], float],
) -> Breakers:
    def changed(neighbour: str, state: State) -> None:
        metrics.breaker_state.labels(neighbour).set(state)
        logger.warning("the breaker of {} is {}", neighbour, state.name.lower())

    def probed(name: str, probe: Callable[[float], None]) -> ProbedBreaker:
        metrics.breaker_state.labels(name).set(State.CLOSED)
        return ProbedBreaker(Breaker(name, clock, random.random, changed), probe)

    return Breakers(
        {
            RESERVATION_API: probed(RESERVATION_API, reservation_api.probe),
            INVENTORY: probed(INVENTORY, inventory.probe),
        }
    )


def _servers(
    settings: Settings,
    metrics: Metrics,
    probes: Probes,
    status: Status,
    state: WorkerState,
    direct: DirectHandler,
) -> tuple[HealthServer, DebugServer]:
    pages = [make_pages(status.document, settings.explained())]
    if settings.debug_endpoints:
        pages.append(make_profiles())
    ports = Ports()
    with ports.opening("SERVER", settings.server_host, settings.server_port):
        web = make_app(probes, metrics.registry, *pages)
        health = HealthServer(web, settings.server_host, settings.server_port)
    host, port = settings.grpc_debug_host, settings.grpc_debug_port
    handle = direct.handle if settings.grpc_debug_allow_write else None
    with ports.opening("GRPC_DEBUG", host, port):
        debug = DebugServer(host, port, state, handle, direct.deadline)
    ports.check()
    return health, debug
