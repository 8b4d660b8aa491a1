"""What a pool thread does with one delivery: content → handler → outcome → settled."""

from collections.abc import Callable, Mapping

from loguru import logger

from reservation_worker.errors import (
    BreakerOpen,
    InvalidEvent,
    LeaseLost,
    LeaseTooShort,
    TransientError,
)
from reservation_worker.events.parse import Event, Ignored, Kind, TraceHints
from reservation_worker.handlers.settlement import Neighbours
from reservation_worker.observability.metrics import Metrics
from reservation_worker.observability.tracing import Trace, Tracing, mark_failed, read_trace
from reservation_worker.outcome import UNTRIED, Ack, DeadLetterReason, Outcome, Reject, Retry
from reservation_worker.pipeline.breakers import Breakers
from reservation_worker.pipeline.completer import Completer
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.leases import Leases
from reservation_worker.pipeline.memory import SettledMemory
from reservation_worker.resilience.backoff import MAX_RETRY_AFTER

DEADLINE_CALLS = 4
"""A message's whole handling may take so many call timeouts (docs/contract.md#leases)."""

Handlers = Mapping[Kind, Callable[[Event, Neighbours], Outcome]]


class Processor:
    """Called by the pool threads.

    `tries` is how often a message is tried in all; `deadline` bounds a whole handling, in seconds.
    """

    def __init__(
        self,
        handlers: Handlers,
        neighbours: Callable[[Delivery, Trace], Neighbours],
        breakers: Breakers,
        leases: Leases,
        completer: Completer,
        memory: SettledMemory,
        tracing: Tracing,
        metrics: Metrics,
        clock: Callable[[], float],
        tries: int,
        deadline: float,
    ) -> None:
        self._handlers = handlers
        self._neighbours = neighbours
        self._breakers = breakers
        self._leases = leases
        self._completer = completer
        self._memory = memory
        self._tracing = tracing
        self._metrics = metrics
        self._clock = clock
        self._tries = tries
        self._deadline = deadline

    def process(self, delivery: Delivery) -> None:
        """Handle and settle one delivery. Raises nothing."""
        try:
            self._process(delivery)
        except Exception:
            logger.exception("a message could not be settled; it comes back by itself")
            self._completer.abandon(delivery)

    def _process(self, delivery: Delivery) -> None:
        delivery.lease.renew_until = self._clock() + self._deadline
        if self._memory.knows(delivery.message.id):
            self._completer.delete_copy(delivery)
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
        """What a delivery comes to, and its trace id for the log.

        The outcome is not carried out; it is None when the lease was lost on the way.
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
        """The handler's outcome; None when the lease was lost on the way."""
        if self._breakers.any_open():
            return Retry("a breaker is open", reason="breaker")
        started = self._clock()
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
                    outcome = Retry(str(error), error.retry_after)
            except LeaseTooShort as error:
                outcome, counted = Retry(str(error), reason="lease"), "retried"
            except LeaseLost:
                counted = "retried"
            except Exception as error:
                logger.exception("the handler has a bug; the message is tried again")
                outcome, counted = Retry(repr(error), reason="bug"), "retried"
            if isinstance(outcome, Reject):
                counted = "failed"
            if isinstance(outcome, Retry | Reject):
                mark_failed(span, outcome.error)
        self._metrics.processing.labels(delivery.label, counted).observe(self._clock() - started)
        return outcome

    def _decide_retry(self, delivery: Delivery, retry: Retry) -> Outcome:
        """What a failed try becomes, by the breakers and the tries so far (contract, section 5)."""
        if self._breakers.any_open():
            rest = max(self._breakers.remaining(), min(retry.at_least, MAX_RETRY_AFTER))
            return Retry(retry.error, rest, reason="breaker")
        exhausted = delivery.message.receive_count >= self._tries
        if exhausted and retry.reason not in UNTRIED and self._breakers.all_closed():
            return Reject(DeadLetterReason.RETRIES_EXHAUSTED, retry.error)
        return retry


def _without_handler(content: Ignored | Exception) -> Outcome:
    if isinstance(content, Ignored):
        return Ack(content.reason, dropped=True)
    if isinstance(content, InvalidEvent):
        return Reject(DeadLetterReason.INVALID_PAYLOAD, str(content))
    return Retry(f"the parser has a bug: {content!r}", reason="bug")
