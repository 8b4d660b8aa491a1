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
from reservation_worker.observability.tracing import Trace, mark_failed, read_trace
from reservation_worker.outcome import UNTRIED, Ack, DeadLetterReason, Outcome, Reject, Retry
from reservation_worker.pipeline.calls import Caller, Calls
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.memory import SettledMemory
from reservation_worker.pipeline.settler import Settler
from reservation_worker.resilience.backoff import MAX_RETRY_AFTER

DEADLINE_CALLS = 4
"""A message's whole handling may take so many call timeouts (contract, section 5)."""

Handlers = Mapping[Kind, Callable[[Event, Neighbours], Outcome]]


class Processor:
    """Called by the pool threads; `tries` is how often a message is tried in all."""

    def __init__(
        self,
        handlers: Handlers,
        caller: Caller,
        settler: Settler,
        memory: SettledMemory,
        metrics: Metrics,
        tries: int,
    ) -> None:
        self._handlers = handlers
        self._caller = caller
        self._settler = settler
        self._memory = memory
        self._metrics = metrics
        self._tries = tries

    def process(self, delivery: Delivery) -> None:
        """Handle and settle one delivery. Raises nothing."""
        try:
            self._process(delivery)
        except Exception:
            logger.exception("a message could not be settled; it comes back by itself")
            self._settler.abandon(delivery)

    def _process(self, delivery: Delivery) -> None:
        caller, lease = self._caller, delivery.lease
        lease.renew_until = caller.clock() + DEADLINE_CALLS * caller.timeout
        if self._memory.knows(delivery.message.id):
            self._settler.delete_copy(delivery)
            return
        if not caller.leases.held(lease):
            self._settler.lost(delivery)
            return
        outcome, trace_id = self.handle(delivery)
        if outcome is None:
            self._settler.lost(delivery)
        else:
            self._settler.settle(delivery, outcome, trace_id)

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
            outcome = self._judge_retry(delivery, outcome)
        return outcome, trace.log_id

    def _run_handler(self, delivery: Delivery, event: Event, trace: Trace) -> Outcome | None:
        """The handler's outcome; None when the lease was lost on the way."""
        caller = self._caller
        if caller.gate.any_open():
            return Retry("a breaker is open", reason="breaker")
        started = caller.clock()
        outcome: Outcome | None = None
        counted = "success"
        with caller.tracing.message_span(
            event.kind.event_type, event.reservation_id, delivery.message.id, trace
        ) as span:
            try:
                outcome = self._handlers[event.kind](event, Calls(caller, delivery, trace))
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
        self._metrics.processing.labels(delivery.label, counted).observe(caller.clock() - started)
        return outcome

    def _judge_retry(self, delivery: Delivery, retry: Retry) -> Outcome:
        """What a failed try becomes, by the breakers and the tries so far (contract, section 5)."""
        gate = self._caller.gate
        if gate.any_open():
            rest = max(gate.remaining(), min(retry.at_least, MAX_RETRY_AFTER))
            return Retry(retry.error, rest, reason="breaker")
        exhausted = delivery.message.receive_count >= self._tries
        if exhausted and retry.reason not in UNTRIED and gate.all_closed():
            return Reject(DeadLetterReason.RETRIES_EXHAUSTED, retry.error)
        return retry


def _without_handler(content: Ignored | Exception) -> Outcome:
    if isinstance(content, Ignored):
        return Ack(content.reason, dropped=True)
    if isinstance(content, InvalidEvent):
        return Reject(DeadLetterReason.INVALID_PAYLOAD, str(content))
    return Retry(f"the parser has a bug: {content!r}", reason="bug")
