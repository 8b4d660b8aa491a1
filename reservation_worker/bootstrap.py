"""The composition root: builds the worker from its settings; worker.py starts and stops it."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from reservation_worker.clients.inventory import InventoryClient
from reservation_worker.clients.ports import Inventory, ReservationApi
from reservation_worker.clients.reservation import ReservationClient
from reservation_worker.clock import REAL_CLOCKS, Clocks
from reservation_worker.config.settings import Settings
from reservation_worker.handlers.settlement import HANDLERS
from reservation_worker.notifications import Notifier, SnsTopic
from reservation_worker.observability.metrics import Metrics
from reservation_worker.observability.otlp import exporter
from reservation_worker.observability.tracing import Tracing
from reservation_worker.outcome import Completed
from reservation_worker.pipeline.assembly import Ports, assemble
from reservation_worker.pipeline.processor import DEADLINE_CALLS, Handlers
from reservation_worker.servers.debug.direct import DirectHandler
from reservation_worker.servers.debug.server import DebugServer
from reservation_worker.servers.debug.state import WorkerState
from reservation_worker.servers.health import HealthServer, make_app
from reservation_worker.servers.listening import ListenErrors
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
from reservation_worker.worker import Worker


def build(
    settings: Settings,
    *,
    queue: Queue | None = None,
    facts: QueueFacts | None = None,
    reservation_api: ReservationApi | None = None,
    inventory: Inventory | None = None,
    handlers: Handlers = HANDLERS,
    clocks: Clocks = REAL_CLOCKS,
) -> Worker:
    """Build the worker; a port that is given replaces the real one, `facts` belong to `queue`.

    Raises ConfigurationError for a queue that the worker must not work on, and OperationError when
    SERVER_PORT or GRPC_DEBUG_PORT can't be had.
    """
    metrics = Metrics(CollectorRegistry())
    tracing = _tracing(settings)
    draining = threading.Event()
    real = _RealPorts()
    ports = Ports(
        queue or real.queue(settings),
        (lambda: facts) if facts else real.facts,
        reservation_api or real.reservation_api(settings),
        inventory or real.inventory(settings),
    )
    recent = RecentOutcomes()
    watchers: list[Callable[[Completed], None]] = [recent.add]
    notifier = real.notifier(settings, metrics)
    if notifier:
        watchers.append(notifier.add)
    pipeline = assemble(settings, ports, handlers, metrics, tracing, clocks, watchers)
    if real.watch:
        real.watch.on_change = lambda facts: pipeline.leases.resize(facts.visibility)
    dispatcher = pipeline.dispatcher
    deadline = DEADLINE_CALLS * settings.call_timeout
    history = History(
        metrics,
        lambda: dispatcher.in_flight,
        lambda: dispatcher.busy,
        clocks.monotonic,
        clocks.wall,
    )
    probes = Probes(pipeline, deadline, draining.is_set, real.refused)
    depth = DepthReader(ports.queue.depths, clocks.monotonic)
    status = Status(settings, metrics, pipeline, probes, recent, history, depth, draining.is_set)
    state = WorkerState(
        settings.pod_name, dispatcher, probes, recent, history, depth, draining.is_set
    )
    direct = DirectHandler(pipeline, deadline, clocks.monotonic)
    health, debug = _servers(settings, status, state, direct)
    return Worker(
        settings=settings,
        metrics=metrics,
        tracing=tracing,
        pipeline=pipeline,
        history=history,
        health=health,
        debug=debug,
        direct=direct,
        notifier=notifier,
        watch=real.watch,
        closers=real.closers,
        draining=draining,
    )


@dataclass(slots=True)
class _RealPorts:
    """Makes the clients of SQS and of the neighbours, and remembers how to close them."""

    closers: list[Callable[[], None]] = field(default_factory=list)
    watch: AttributeWatch | None = None
    refused: Callable[[], Mapping[str, str]] = dict

    def queue(self, settings: Settings) -> Queue:
        queue = SqsQueue(
            settings.sqs_queue_url,
            settings.sqs_region,
            settings.sqs_wait_time,
            connections=settings.worker_concurrency + 10,
            dlq_url=settings.sqs_dlq_url,
        )
        self.closers.append(queue.close)
        self.refused = queue.refused
        self.watch = AttributeWatch(
            queue.describe,
            lambda facts: misfits(facts, settings.call_timeout, settings.max_retries),
        )
        self.watch.first_look()
        return queue

    def facts(self) -> QueueFacts:
        """The queue's attributes as they were read last."""
        return self.watch.facts if self.watch else QueueFacts()

    def reservation_api(self, settings: Settings) -> ReservationApi:
        client = ReservationClient(
            settings.reservation_api_base,
            settings.worker_concurrency,
            settings.reservation_api_token_file,
        )
        self.closers.append(client.close)
        return client

    def inventory(self, settings: Settings) -> Inventory:
        client = InventoryClient(settings.inventory_grpc_addr, settings.inventory_grpc_tls)
        self.closers.append(client.close)
        return client

    def notifier(self, settings: Settings, metrics: Metrics) -> Notifier | None:
        if not settings.notification_topic_arn:
            return None
        topic = SnsTopic(settings.notification_topic_arn)
        self.closers.append(topic.close)
        return Notifier(topic.publish, metrics)


def _tracing(settings: Settings) -> Tracing:
    export = exporter(*settings.collector) if settings.collector else None
    return Tracing(settings.pod_name, settings.queue_name, export)


def _servers(
    settings: Settings, status: Status, state: WorkerState, direct: DirectHandler
) -> tuple[HealthServer, DebugServer]:
    pages = [make_pages(status.document, settings.explained())]
    if settings.debug_endpoints:
        pages.append(make_profiles())
    listen_errors = ListenErrors()
    with listen_errors.opening("SERVER", settings.server_host, settings.server_port):
        web = make_app(status.probes, status.metrics.registry, *pages)
        health = HealthServer(web, settings.server_host, settings.server_port)
    host, port = settings.grpc_debug_host, settings.grpc_debug_port
    handle = direct.handle if settings.grpc_debug_allow_write else None
    with listen_errors.opening("GRPC_DEBUG", host, port):
        debug = DebugServer(host, port, state, handle, direct.deadline)
    listen_errors.check()
    return health, debug
