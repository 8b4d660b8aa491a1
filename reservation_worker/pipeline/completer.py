"""The one place where an outcome becomes a call of SQS, a count and a log line."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from loguru import logger

from reservation_worker.errors import SqsError
from reservation_worker.events.parse import Event
from reservation_worker.observability.metrics import Metrics
from reservation_worker.outcome import (
    UNTRIED,
    Ack,
    DeadLetterReason,
    Outcome,
    Reject,
    Retry,
    Settled,
)
from reservation_worker.pipeline.custody import Custody, Ending
from reservation_worker.pipeline.deadletter import attributes_of
from reservation_worker.pipeline.deleter import Deleter
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.leases import Leases
from reservation_worker.resilience.backoff import MAX_RETRY_AFTER, retry_delay
from reservation_worker.sqs.batches import BATCH, BatchFailure
from reservation_worker.sqs.queue import Queue

NO_FURTHER_TRY = "the queue allows no further try (maxReceiveCount)"
"""Why a message that would be given back is dead-lettered on its last receive."""


class Completer:
    """Carries the outcome of each delivery out, once; after the lease is over only a delete."""

    def __init__(
        self,
        queue: Queue,
        custody: Custody,
        leases: Leases,
        deleter: Deleter,
        metrics: Metrics,
        max_receive_count: Callable[[], int | None],
        base_ms: int,
        max_retries: int,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        watchers: Sequence[Callable[[Settled], None]] = (),
    ) -> None:
        self._queue = queue
        self._custody = custody
        self._leases = leases
        self._deleter = deleter
        self._metrics = metrics
        self._max_receive_count = max_receive_count
        self._base_ms = base_ms
        self._max_retries = max_retries
        self._clock = clock
        self._wall_clock = wall_clock
        # Called for every completed delivery by the thread that completed it: none may block.
        self._watchers = watchers

    def complete(self, delivery: Delivery, outcome: Outcome, trace_id: str | None = None) -> None:
        """Carry an outcome out. `trace_id` is for the log line."""
        if isinstance(outcome, Ack):
            # The outcome is known: the delete is tried whoever holds the message by now.
            self._custody.claim(delivery)
            self._delete(delivery)
            counted = "dropped" if outcome.dropped else "success"
        else:
            if isinstance(outcome, Retry):
                # Before the lease is asked: a renewal under way may outlast it.
                self._leases.close_and_wait(delivery.lease)
            if not self._leases.held(delivery.lease):
                self.lease_lost(delivery)
                return
            if not self._custody.claim(delivery):
                return  # the stop gives it back
            if isinstance(outcome, Retry):
                counted = self._retry(delivery, outcome)
            else:
                counted = self._reject(delivery, outcome)
        self._report(delivery, outcome, counted, trace_id)

    def delete_copy(self, delivery: Delivery) -> None:
        """A redelivered copy of a settled message: only its delete is tried again."""
        self._custody.claim(delivery)
        self._delete(delivery)
        self._metrics.copies_deleted.inc()

    def lease_lost(self, delivery: Delivery) -> None:
        """The message is, or may be, with another worker: nothing is settled here."""
        self._leases.close(delivery.lease)
        if self._custody.claim(delivery):
            self._lose(delivery)

    def give_back(self, deliveries: Iterable[Delivery]) -> None:
        """Make messages visible again, at once or when the call in flight must be over.

        So no other pod works beside a call that may still have its effect. A delivery whose lease
        is over is with another worker already, or soon will be.
        """
        by_delay: dict[int, list[Delivery]] = {}
        for delivery in deliveries:
            if not self._custody.claim(delivery):
                continue
            delay = math.ceil(self._leases.fence(delivery.lease))
            if self._clock() < delivery.lease.deadline:
                self._leases.close_and_wait(delivery.lease)
            if self._clock() >= delivery.lease.deadline:
                self._leases.close(delivery.lease)
                self._lose(delivery)
            elif self.is_last_receive(delivery):
                reject = Reject(DeadLetterReason.RETRIES_EXHAUSTED, f"unsettled; {NO_FURTHER_TRY}")
                self._report(delivery, reject, self._reject(delivery, reject), None)
            else:
                by_delay.setdefault(delay, []).append(delivery)
        for delay, together in by_delay.items():
            for start in range(0, len(together), BATCH):
                batch = together[start : start + BATCH]
                self._metrics.given_back.inc(self._change_visibility(batch, delay))

    def is_last_receive(self, delivery: Delivery) -> bool:
        """Whether SQS would move the message, without a reason, instead of delivering it again."""
        most = self._max_receive_count()
        return most is not None and delivery.message.receive_count >= most

    def abandon(self, delivery: Delivery) -> None:
        """A completion that our own bug ended: the message comes when its visibility ends."""
        self._leases.close(delivery.lease)
        self._custody.leave(delivery)

    def _lose(self, delivery: Delivery) -> None:
        if self._custody.end(delivery, Ending.LOST):
            self._metrics.leases_lost.inc()
            logger.bind(message_id=delivery.message.id).warning(
                "lease lost: the message will be delivered again"
            )

    def _delete(self, delivery: Delivery) -> None:
        self._leases.close(delivery.lease)
        self._deleter.add(delivery)

    def _retry(self, delivery: Delivery, retry: Retry) -> str:
        if retry.reason in UNTRIED:
            # The rest of the breaker's open time, or at once: nothing was tried.
            delay = max(1, math.ceil(retry.at_least))
        else:
            delay = retry_delay(
                delivery.message.receive_count,
                self._base_ms,
                self._max_retries,
                retry.at_least,
                beyond_tries=retry.beyond_tries,
            )
        self._metrics.retries.labels(retry.reason).inc()
        self._change_visibility([delivery], delay)
        return "retried"

    def _reject(self, delivery: Delivery, reject: Reject) -> str:
        try:
            self._queue.dead_letter(
                delivery.message.body or " ",
                attributes_of(delivery.message, reject, self._wall_clock),
                delivery.message.trace_header,
            )
        except SqsError as error:
            self._metrics.dead_letter_failures.inc()
            logger.bind(message_id=delivery.message.id).error(
                "dead letter not sent ({}), the message stays in the queue: {}",
                reject.reason,
                error,
            )
            self._leases.close_and_wait(delivery.lease)
            if self._leases.held(delivery.lease):
                self._change_visibility([delivery], int(MAX_RETRY_AFTER))
            else:
                self._custody.leave(delivery)
            return "retried"
        self._metrics.dead_lettered.labels(reject.reason.value).inc()
        self._delete(delivery)
        if reject.reason is DeadLetterReason.INVALID_PAYLOAD:
            return "invalid_payload"
        return "failed"

    def _change_visibility(self, batch: Sequence[Delivery], seconds: int) -> int:
        """Returns how many were given back; the others come when their visibility ends."""
        receipts = [delivery.message.receipt for delivery in batch]
        failures: Mapping[int, BatchFailure] = {}
        try:
            failures = self._queue.change_visibility(receipts, seconds)
        except SqsError as error:
            logger.warning("giving back failed: {}", error)
            refused = set(batch)
        else:
            refused = {batch[position] for position, one in failures.items() if not one.gone}
        given = 0
        for position, delivery in enumerate(batch):
            if delivery in refused:
                self._custody.leave(delivery)
            elif position in failures:
                # The receipt is void: deleted meanwhile, or already with another worker.
                self._custody.end(delivery, Ending.LOST)
            else:
                given += self._custody.end(delivery, Ending.GIVEN_BACK)
        if refused:
            logger.warning("{} messages come back only when their visibility ends", len(refused))
        return given

    def _report(
        self, delivery: Delivery, outcome: Outcome, counted: str, trace_id: str | None
    ) -> None:
        content, event = delivery.content, None
        if isinstance(content, Event):
            event = content
        settled = Settled(
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
            seconds=self._clock() - delivery.received_at,
            at=self._wall_clock(),
            reason=None if isinstance(outcome, Ack) else str(outcome.reason),
            error=None if isinstance(outcome, Ack) else outcome.error,
        )
        self._metrics.events.labels(settled.label, counted).inc()
        self._metrics.latency.labels(settled.label).observe(settled.seconds)
        self._log(settled, outcome, event)
        for watch in self._watchers:
            try:
                watch(settled)
            except Exception:
                # The outcome is carried out already; nothing may undo it.
                logger.exception("a watcher of outcomes has a bug")

    @staticmethod
    def _log(settled: Settled, outcome: Outcome, event: Event | None) -> None:
        facts: dict[str, Any] = {
            "event_type": settled.event_type,
            "reservation_id": settled.reservation_id,
            "event_id": settled.event_id,
            "trace_id": settled.trace_id,
            "duration_ms": round(settled.seconds * 1000, 1),
            "outcome": settled.counted,
            "attempt": settled.attempt,
            "message_id": settled.message_id,
            "id": event.id if event else None,
        }
        level, text = "INFO", settled.note
        if isinstance(outcome, Ack):
            if outcome.order_id:
                facts["order_id"] = outcome.order_id
            warnings = [*(event.warnings if event else ()), *filter(None, [outcome.warning])]
            if warnings:
                level, facts["warnings"] = "WARNING", warnings
        elif settled.counted == "retried":
            level, text, facts["error"] = "WARNING", "given back for another try", settled.error
        else:
            level, text, facts["error"] = "ERROR", "dead-lettered", settled.error
            facts["dlq_reason"] = settled.reason
        logger.bind(**facts).log(level, text)
