"""How a completed delivery is reported: metrics, one log line, and the watchers of outcomes."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from loguru import logger

from reservation_worker.clock import Clocks
from reservation_worker.events.parse import Event
from reservation_worker.observability.metrics import Metrics
from reservation_worker.outcome import Ack, Completed, Outcome
from reservation_worker.pipeline.delivery import Delivery


class Reporter:
    """Reports each completed delivery once, on the thread that completed it.

    No watcher may block.
    """

    def __init__(
        self,
        metrics: Metrics,
        clocks: Clocks,
        watchers: Sequence[Callable[[Completed], None]] = (),
    ) -> None:
        # labels() costs more than the count.
        self._events = cache(metrics.events.labels)
        self._latency = cache(metrics.latency.labels)
        self._clocks = clocks
        self._watchers = watchers

    def report(
        self, delivery: Delivery, outcome: Outcome, counted: str, trace_id: str | None
    ) -> None:
        """`counted` is the outcome's name in the metrics (docs/contract.md#outcomes)."""
        content = delivery.content
        event = content if isinstance(content, Event) else None
        completed = Completed(
            message_id=delivery.message.id,
            label=delivery.label,
            event_type=delivery.event_type,
            reservation_id=getattr(content, "reservation_id", None),
            event_id=event.event_id if event else None,
            payment_intent_id=event.payment_intent_id if event else None,
            user_id=event.user_id if event else None,
            trace_id=trace_id,
            counted=counted,
            note=outcome.note if isinstance(outcome, Ack) else "",
            attempt=delivery.message.receive_count,
            seconds=self._clocks.monotonic() - delivery.received_at,
            at=self._clocks.wall(),
            reason=None if isinstance(outcome, Ack) else str(outcome.reason),
            error=None if isinstance(outcome, Ack) else outcome.error,
        )
        self._events(completed.label, counted).inc()
        self._latency(completed.label).observe(completed.seconds)
        _log(completed, outcome, event)
        for watch in self._watchers:
            try:
                watch(completed)
            except Exception:
                # The outcome is carried out already; nothing may undo it.
                logger.exception("a watcher of outcomes has a bug")


def _log(completed: Completed, outcome: Outcome, event: Event | None) -> None:
    facts: dict[str, Any] = {
        "event_type": completed.event_type,
        "reservation_id": completed.reservation_id,
        "event_id": completed.event_id,
        "trace_id": completed.trace_id,
        "duration_ms": round(completed.seconds * 1000, 1),
        "outcome": completed.counted,
        "attempt": completed.attempt,
        "message_id": completed.message_id,
        "id": event.id if event else None,
    }
    level, text = "INFO", completed.note
    if isinstance(outcome, Ack):
        if outcome.order_id:
            facts["order_id"] = outcome.order_id
        warnings = [*(event.warnings if event else ()), *filter(None, [outcome.warning])]
        if warnings:
            level, facts["warnings"] = "WARNING", warnings
    elif completed.counted == "retried":
        level, text, facts["error"] = "WARNING", "given back for another try", completed.error
    else:
        level, text, facts["error"] = "ERROR", "dead-lettered", completed.error
        facts["dlq_reason"] = completed.reason
    logger.bind(**facts).log(level, text)
