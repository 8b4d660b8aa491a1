"""Builds the pipeline: the parts that a message passes, wired to each other."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from loguru import logger

from reservation_worker.clients.ports import Inventory, ReservationApi
from reservation_worker.clock import Clocks
from reservation_worker.config.settings import Settings
from reservation_worker.observability.metrics import Metrics
from reservation_worker.observability.tracing import Tracing
from reservation_worker.outcome import Completed
from reservation_worker.pipeline.breakers import Breakers, ProbedBreaker
from reservation_worker.pipeline.completer import Completer
from reservation_worker.pipeline.custody import Custody
from reservation_worker.pipeline.deleter import Deleter
from reservation_worker.pipeline.dispatcher import Dispatcher
from reservation_worker.pipeline.leases import Leases
from reservation_worker.pipeline.neighbours import INVENTORY, RESERVATION_API, GuardedNeighbours
from reservation_worker.pipeline.poller import Poller
from reservation_worker.pipeline.processor import DEADLINE_CALLS, Handlers, Processor
from reservation_worker.pipeline.reporter import Reporter
from reservation_worker.resilience.backoff import RetryPolicy
from reservation_worker.resilience.breaker import Breaker, State
from reservation_worker.resilience.evidence import Evidence
from reservation_worker.sqs.facts import QueueFacts
from reservation_worker.sqs.queue import Queue


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside world as the pipeline reaches it; `facts` returns the queue's, as read last."""

    queue: Queue
    facts: Callable[[], QueueFacts]
    reservation_api: ReservationApi
    inventory: Inventory


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The parts that others start, stop or look at."""

    breakers: Breakers
    custody: Custody
    leases: Leases
    deleter: Deleter
    completer: Completer
    processor: Processor
    dispatcher: Dispatcher
    poller: Poller


def assemble(
    settings: Settings,
    ports: Ports,
    handlers: Handlers,
    metrics: Metrics,
    tracing: Tracing,
    clocks: Clocks,
    watchers: Sequence[Callable[[Completed], None]] = (),
) -> Pipeline:
    """`watchers` are called for every completed delivery: see Reporter."""
    queue, clock = ports.queue, clocks.monotonic
    deadline = DEADLINE_CALLS * settings.call_timeout
    retries = RetryPolicy(
        settings.backoff_base_ms, settings.max_retries, lambda: ports.facts().max_receive_count
    )
    breakers = _breakers(ports, metrics, clock)
    evidence = Evidence(clock)
    custody = Custody(clock)
    leases = Leases(queue, ports.facts().visibility, clock, metrics, patience=2 * deadline)
    deleter = Deleter(queue, custody, metrics, lambda delivery: leases.held(delivery.lease))
    reporter = Reporter(metrics, clocks, watchers)
    completer = Completer(queue, custody, leases, deleter, retries, reporter, metrics, clocks)
    neighbours = partial(
        GuardedNeighbours,
        reservation_api=ports.reservation_api,
        inventory=ports.inventory,
        breakers=breakers,
        evidence=evidence,
        leases=leases,
        tracing=tracing,
        timeout=settings.call_timeout,
        key_ttl=settings.inventory_key_ttl,
        clock=clock,
    )
    processor = Processor(
        handlers,
        neighbours,
        breakers,
        evidence,
        leases,
        completer,
        retries,
        tracing,
        metrics,
        clocks,
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
        clocks,
    )
    metrics.poller_silent.set_function(poller.silent)
    return Pipeline(breakers, custody, leases, deleter, completer, processor, dispatcher, poller)


def _breakers(ports: Ports, metrics: Metrics, clock: Callable[[], float]) -> Breakers:
    def changed(neighbour: str, state: State) -> None:
        metrics.breaker_state.labels(neighbour).set(state)
        logger.warning("the breaker of {} is {}", neighbour, state.name.lower())

    def probed(name: str, probe: Callable[[float], None]) -> ProbedBreaker:
        metrics.breaker_state.labels(name).set(State.CLOSED)
        return ProbedBreaker(Breaker(name, clock, random.random, changed), probe)

    return Breakers(
        {
            RESERVATION_API: probed(RESERVATION_API, ports.reservation_api.probe),
            INVENTORY: probed(INVENTORY, ports.inventory.probe),
        }
    )
