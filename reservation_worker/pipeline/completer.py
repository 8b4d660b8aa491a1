"""The one place where an outcome is carried out: delete, give back or dead-letter."""

import math
from collections.abc import Iterable, Mapping, Sequence

from loguru import logger

from reservation_worker.clock import Clocks
from reservation_worker.errors import SqsError
from reservation_worker.observability.metrics import Metrics
from reservation_worker.outcome import UNTRIED, Ack, DeadLetterReason, Outcome, Reject, Retry
from reservation_worker.pipeline.custody import Custody, Ending
from reservation_worker.pipeline.deadletter import attributes_of
from reservation_worker.pipeline.deleter import Deleter
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.leases import Leases
from reservation_worker.pipeline.reporter import Reporter
from reservation_worker.resilience.backoff import MAX_RETRY_AFTER, RetryPolicy
from reservation_worker.sqs.batches import BATCH, BatchFailure
from reservation_worker.sqs.queue import Queue

NO_FURTHER_TRY = "the queue allows no further try (maxReceiveCount)"
"""Why a message that would be given back is dead-lettered on its last receive."""


class Completer:
    """Carries the outcome of each delivery out, once; after its lease has ended only a delete."""

    def __init__(
        self,
        queue: Queue,
        custody: Custody,
        leases: Leases,
        deleter: Deleter,
        retries: RetryPolicy,
        reporter: Reporter,
        metrics: Metrics,
        clocks: Clocks,
    ) -> None:
        self._queue = queue
        self._custody = custody
        self._leases = leases
        self._deleter = deleter
        self._retries = retries
        self._reporter = reporter
        self._metrics = metrics
        self._clocks = clocks

    def complete(self, delivery: Delivery, outcome: Outcome, trace_id: str | None = None) -> None:
        """Carry out an outcome. `trace_id` is for the log line."""
        if isinstance(outcome, Ack):
            # The outcome is known: the delete is tried whoever holds the message by now.
            self._custody.claim(delivery)
            self._delete(delivery)
            counted = "dropped" if outcome.dropped else "success"
        else:
            if isinstance(outcome, Retry):
                # Before the lease is checked, because a renewal under way may outlast it.
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
        self._reporter.report(delivery, outcome, counted, trace_id)

    def delete_copy(self, delivery: Delivery) -> bool:
        """Delete a redelivered copy of a settled message; false if it is not such a copy."""
        if not self._deleter.memory.knows(delivery.message.id):
            return False
        self._custody.claim(delivery)
        self._delete(delivery)
        self._metrics.copies_deleted.inc()
        return True

    def lease_lost(self, delivery: Delivery) -> None:
        """Another worker has the message, or may have it: nothing is carried out here."""
        self._leases.close(delivery.lease)
        if self._custody.claim(delivery):
            self._lose(delivery)

    def give_back(self, deliveries: Iterable[Delivery]) -> None:
        """Make messages visible again, at once or when the call in flight must be over.

        Otherwise another pod would work beside a call that may still take effect. A delivery whose
        lease is over is lost: another worker has it, or soon will.
        """
        by_delay: dict[int, list[Delivery]] = {}
        for delivery in deliveries:
            if not self._custody.claim(delivery):
                continue
            delay = math.ceil(self._leases.fence(delivery.lease))
            if self._clocks.monotonic() < delivery.lease.deadline:
                self._leases.close_and_wait(delivery.lease)
            if self._clocks.monotonic() >= delivery.lease.deadline:
                self._leases.close(delivery.lease)
                self._lose(delivery)
            elif self._retries.is_last_receive(delivery.message.receive_count):
                reject = Reject(DeadLetterReason.RETRIES_EXHAUSTED, f"unsettled; {NO_FURTHER_TRY}")
                self._reporter.report(delivery, reject, self._reject(delivery, reject), None)
            else:
                by_delay.setdefault(delay, []).append(delivery)
        for delay, together in by_delay.items():
            for start in range(0, len(together), BATCH):
                batch = together[start : start + BATCH]
                self._metrics.given_back.inc(self._change_visibility(batch, delay))

    def abandon(self, delivery: Delivery) -> None:
        """End a completion that failed by a bug: SQS delivers the message again after its lease."""
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
            # Nothing was tried: after the rest of the breaker's open time, or at once.
            delay = max(1, math.ceil(retry.at_least))
        else:
            delay = self._retries.delay(
                delivery.message.receive_count, retry.at_least, beyond_tries=retry.beyond_tries
            )
        self._metrics.retries.labels(retry.reason).inc()
        self._change_visibility([delivery], delay)
        return "retried"

    def _reject(self, delivery: Delivery, reject: Reject) -> str:
        try:
            self._queue.dead_letter(
                delivery.message.body or " ",
                attributes_of(delivery.message, reject, self._clocks.wall),
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
        """Returns how many were given back; SQS delivers the others when their visibility ends."""
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
