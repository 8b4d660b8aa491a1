"""Processes one delivery on a pool thread: content → handler → outcome → completed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

from loguru import logger

from reservation_worker.clock import Clocks
from reservation_worker.errors import (
    BreakerOpen,
    InvalidEvent,
    LeaseLost,
    LeaseTooShort,
    TransientError,
)
from reservation_worker.events.kinds import Kind
from reservation_worker.events.parse import Event, Ignored, TraceHints
from reservation_worker.handlers.settlement import Neighbours
from reservation_worker.observability.metrics import Metrics
from reservation_worker.observability.tracing import Trace, Tracing, mark_failed, read_trace
from reservation_worker.outcome import UNTRIED, Ack, DeadLetterReason, Outcome, Reject, Retry
from reservation_worker.pipeline.breakers import Breakers
from reservation_worker.pipeline.completer import NO_FURTHER_TRY, Completer
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.leases import Leases
from reservation_worker.pipeline.neighbours import RESERVATION_API
from reservation_worker.resilience.backoff import MAX_RETRY_AFTER, RetryPolicy
from reservation_worker.resilience.evidence import Evidence

DEADLINE_CALLS = 4
"""A message's whole handling may take so many call timeouts (docs/contract.md#leases)."""

LONGEST_FAILING = 3_600.0
"""Seconds of failing after which a message needs no evidence (docs/contract.md#exhaustion)."""
HANDLER = "handler"
"""The name of our own code, where it failed instead of a neighbour."""

Handlers = Mapping[Kind, Callable[[Event, Neighbours], Outcome]]


class Processor:
    """Called by the pool threads; `deadline` bounds a whole handling, in seconds."""

    def __init__(
        self,
        handlers: Handlers,
        neighbours: Callable[[Delivery, Trace], Neighbours],
        breakers: Breakers,
        evidence: Evidence,
        leases: Leases,
        completer: Completer,
        retries: RetryPolicy,
        tracing: Tracing,
        metrics: Metrics,
        clocks: Clocks,
        deadline: float,
    ) -> None:
        self._handlers = handlers
        self._neighbours = neighbours
        self._breakers = breakers
        self._evidence = evidence
        self._leases = leases
        self._completer = completer
        self._retries = retries
        self._tracing = tracing
        self._processing = cache(metrics.processing.labels)  # labels() costs more than the count
        self._clocks = clocks
        self._deadline = deadline

    def process(self, delivery: Delivery) -> None:
        """Handle and complete one delivery. Raises nothing."""
        try:
            self._process(delivery)
        except Exception:
            logger.exception("a message could not be settled; it will be delivered again")
            self._completer.abandon(delivery)

    def _process(self, delivery: Delivery) -> None:
        delivery.lease.renew_until = self._clocks.monotonic() + self._deadline
        if self._completer.delete_copy(delivery):
            return
        if not self._leases.held(delivery.lease):
            self._completer.lease_lost(delivery)
            return
        outcome, trace_id = self.handle(delivery)
        if outcome is None:
            self._completer.lease_lost(delivery)
        else:
            self._completer.complete(delivery, outcome, trace_id)

    def handle(self, delivery: Delivery) -> tuple[Outcome | None, str]:
        """The outcome of a delivery, and its trace id for the log.

        The outcome is not carried out; it is None if the lease was lost on the way.
        """
        content = delivery.content
        hints = content.trace if isinstance(content, Event | Ignored) else TraceHints()
        trace = read_trace(hints, delivery.message.trace_header)
        if isinstance(content, Event):
            outcome = self._run_handler(delivery, content, trace)
        else:
            outcome = _without_handler(content)
        if isinstance(outcome, Retry):
            outcome = self._decide_retry(delivery, outcome)
        return outcome, trace.log_id

    def _run_handler(self, delivery: Delivery, event: Event, trace: Trace) -> Outcome | None:
        """The handler's outcome; None if the lease was lost on the way."""
        if self._breakers.any_open():
            return Retry("a breaker is open", reason="breaker")
        started = self._clocks.monotonic()
        outcome: Outcome | None = None
        counted = "success"
        with self._tracing.message_span(
            event.kind.event_type, event.reservation_id, delivery.message.id, trace
        ) as span:
            try:
                outcome = self._handlers[event.kind](event, self._neighbours(delivery, trace))
            except (TransientError, BreakerOpen) as error:
                counted = "downstream_error"
                if isinstance(error, BreakerOpen):
                    outcome = Retry(str(error), error.retry_after, "breaker")
                else:
                    # A handler that raises it itself read the arbiter's answer.
                    failed = error.neighbour or RESERVATION_API
                    outcome = Retry(str(error), error.retry_after, failed=failed)
            except LeaseTooShort as error:
                outcome, counted = Retry(str(error), reason="lease"), "retried"
            except LeaseLost:
                counted = "retried"
            except Exception as error:
                logger.exception("the handler has a bug; the message is tried again")
                outcome, counted = Retry(repr(error), reason="bug", failed=HANDLER), "retried"
            if isinstance(outcome, Ack | Reject):
                self._evidence.add(HANDLER, delivery.message.id)
                self._breakers.spare()
            if isinstance(outcome, Reject):
                counted = "failed"
            if isinstance(outcome, Retry | Reject):
                mark_failed(span, outcome.error)
        self._processing(delivery.label, counted).observe(self._clocks.monotonic() - started)
        return outcome

    def _decide_retry(self, delivery: Delivery, retry: Retry) -> Outcome:
        """Another try, or a dead letter (docs/contract.md#exhaustion)."""
        message = delivery.message
        if self._breakers.any_open():
            rest = max(self._breakers.remaining(), min(retry.at_least, MAX_RETRY_AFTER))
            retry = Retry(retry.error, rest, reason="breaker")
        elif retry.reason not in UNTRIED and message.receive_count >= self._retries.tries():
            failing_for = delivery.elapsed(self._clocks.monotonic(), message.since_first_receive)
            if self._evidence.against(retry.failed, message.id, failing_for) or (
                failing_for is not None and failing_for >= LONGEST_FAILING
            ):
                return Reject(DeadLetterReason.RETRIES_EXHAUSTED, retry.error)
            retry = replace(retry, beyond_tries=True)
        if self._retries.is_last_receive(message.receive_count):
            error = f"{retry.error}; {NO_FURTHER_TRY}"
            return Reject(DeadLetterReason.RETRIES_EXHAUSTED, error)
        return retry


def _without_handler(content: Ignored | Exception) -> Outcome:
    if isinstance(content, Ignored):
        return Ack(content.reason, dropped=True)
    if isinstance(content, InvalidEvent):
        return Reject(DeadLetterReason.INVALID_PAYLOAD, str(content))
    return Retry(f"the parser has a bug: {content!r}", reason="bug", failed=HANDLER)
