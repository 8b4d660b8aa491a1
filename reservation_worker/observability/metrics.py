"""Every metric of the worker; names and labels are those of docs/contract.md#metrics."""

import itertools
import threading
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from reservation_worker import __version__
from reservation_worker.events.kinds import Kind
from reservation_worker.outcome import DeadLetterReason

TYPES = (*(kind.label for kind in Kind), "unknown")
OUTCOMES = ("success", "dropped", "retried", "failed", "invalid_payload")
# A message of unknown type has no handler.
HANDLERS = TYPES[:-1]
HANDLER_OUTCOMES = ("success", "retried", "failed", "downstream_error")

# Seconds. Fine around the promised P95 of 118 ms and P99 of 285 ms, wide enough for call timeouts.
BUCKETS = (
    0.005, 0.01, 0.025, 0.05, 0.075, 0.09, 0.1, 0.11, 0.12, 0.15, 0.2, 0.285, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
AGE_BUCKETS = (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 900, 3600, 14_400, 86_400)


class Peak:
    """The largest value since it was last read, which a histogram does not keep."""

    def __init__(self) -> None:
        self._value: float | None = None
        self._lock = threading.Lock()

    def note(self, value: float) -> None:
        """Add a value."""
        with self._lock:
            self._value = value if self._value is None else max(self._value, value)

    def take(self) -> float | None:
        """Return the largest value so far and forget it; None if there was none."""
        with self._lock:
            value, self._value = self._value, None
            return value


class _LogLinesDropped(Collector):
    """Reads the counter from the log writer, which must not wait for a metric's lock."""

    def __init__(self) -> None:
        self.read: Callable[[], int] = lambda: 0

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(
            "worker_log_lines_dropped",
            "Log lines that could not be written, or for which stdout's reader was too slow.",
            value=self.read(),
        )


class Metrics:
    """The metrics of one worker, in a separate registry. No label carries an id."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        ProcessCollector(registry=registry)
        Info("worker_build", "The worker's version.", registry=registry).info(
            {"version": __version__}
        )

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=registry)

        self.events = counter("worker_events", "Settled deliveries.", "type", "outcome")
        self.processing = Histogram(
            "worker_processing_duration_seconds",
            "One handler run.",
            ("handler", "outcome"),
            registry=registry,
            buckets=BUCKETS,
        )
        self.latency = Histogram(
            "worker_latency_seconds",
            "From the receive's return to the outcome of the delivery.",
            ("type",),
            registry=registry,
            buckets=BUCKETS,
        )
        self.event_age = Histogram(
            "worker_event_age_seconds",
            "From SentTimestamp to the receive.",
            registry=registry,
            buckets=AGE_BUCKETS,
        )
        self.oldest_age = Peak()
        self.poll_errors = counter("sqs_poll_errors", "Receives that failed.")
        self.receives = counter("sqs_receives", "Receives that were answered.", "result")
        self.retries = counter("worker_retries", "Give-backs after a failure.", "reason")
        self.dead_lettered = counter(
            "worker_dead_lettered", "Messages moved to the dead-letter queue.", "reason"
        )
        self.dead_letter_failures = counter(
            "worker_dead_letter_failures", "Dead letters that could not be sent."
        )
        self.delete_failures = counter("worker_delete_failures", "Deletes given up.")
        self.copies_deleted = counter(
            "worker_copies_deleted", "Redelivered copies of settled messages, only deleted."
        )
        self.leases_lost = counter("worker_leases_lost", "Deliveries whose lease ended early.")
        self.leases_renewed = counter("worker_leases_renewed", "Lease renewals.")
        self.lease_renewal_failures = counter(
            "worker_lease_renewal_failures", "Lease renewals that failed."
        )
        self.given_back = counter("worker_given_back", "Messages given back by the stop.")
        self.notifications = counter(
            "worker_notifications", "Messages for the customer's side, by SNS.", "result"
        )
        self._log_lines_dropped = _LogLinesDropped()
        registry.register(self._log_lines_dropped)
        self.poller_silent = gauge(
            "worker_poller_silent_seconds",
            "Since the poller's last sign of life; a pause counts as one.",
        )
        self.drain_seconds = gauge(
            "worker_drain_seconds", "How long the stop has taken so far; 0 before it."
        )
        self.busy = gauge("worker_active_goroutines", "Threads that handle a message.")
        self.in_flight = gauge("worker_in_flight", "Messages received and not settled.")
        self.free_slots = gauge("worker_free_slots", "Messages that could be received now.")
        self.breaker_state = gauge(
            "worker_breaker_state", "0 closed, 1 half-open, 2 open.", "neighbour"
        )
        # A rate over a counter that appears with its first event misses that event.
        for kind in TYPES:
            self.latency.labels(kind)
            for outcome in OUTCOMES:
                self.events.labels(kind, outcome)
        for handler, outcome in itertools.product(HANDLERS, HANDLER_OUTCOMES):
            self.processing.labels(handler, outcome)
        for dlq_reason in DeadLetterReason:
            self.dead_lettered.labels(dlq_reason.value)
        for reason in ("neighbour", "breaker", "lease", "bug"):
            self.retries.labels(reason)
        for result in ("messages", "empty"):
            self.receives.labels(result)
        for result in ("sent", "failed", "dropped"):
            self.notifications.labels(result)

    def watch(self, busy: Callable[[], int], in_flight: Callable[[], int], slots: int) -> None:
        """Read the gauges of the pool when they are scraped."""
        self.busy.set_function(busy)
        self.in_flight.set_function(in_flight)
        self.free_slots.set_function(lambda: slots - in_flight())

    def count_dropped_log_lines(self, read: Callable[[], int]) -> None:
        """Read worker_log_lines_dropped_total from `read`; until then it is 0."""
        self._log_lines_dropped.read = read

    def observe_age(self, seconds: float) -> None:
        """Record the age of an event that was received."""
        self.event_age.observe(seconds)
        self.oldest_age.note(seconds)

    @staticmethod
    def values(
        metric: Counter | Histogram, suffix: str = "_total"
    ) -> Iterator[tuple[dict[str, str], float]]:
        """The labels and values of one metric, read as a scrape does, without all the others."""
        for family in metric.collect():
            for sample in family.samples:
                if sample.name.endswith(suffix):
                    yield sample.labels, sample.value
