"""Thread: publishes each settlement to an SNS topic; best effort, never blocks a message."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from botocore.config import Config
from loguru import logger

from reservation_worker.events.kinds import BY_LABEL
from reservation_worker.observability.metrics import Metrics
from reservation_worker.outcome import SUPERSEDED, Completed
from reservation_worker.pipeline.batching import Batches
from reservation_worker.pipeline.deleter import RecentIds
from reservation_worker.sqs import session as aws
from reservation_worker.sqs.batches import failures
from reservation_worker.sqs.clients import RenewedClients

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sns.type_defs import PublishBatchRequestEntryTypeDef as Entry

CAPACITY = 1_000
"""How many notifications may wait; any more are dropped and counted."""
FLUSH = 3.0
"""How long a stop waits until the last notifications are sent, in seconds."""
LONGEST = 1_000
"""A field with more characters is left out of its notification."""


def notification(completed: Completed) -> dict[str, str] | None:
    """The notification of a completed delivery; None if there is none to send.

    A replay sends it again, because the first try may have ended before its notification. `id`
    names the effect, so that subscribers recognise copies.
    """
    if completed.counted != "success" or completed.note == SUPERSEDED:
        return None
    kind = BY_LABEL[completed.label].value.notification
    facts = {
        "id": f"{kind}:{completed.reservation_id}",
        "type": kind,
        "reservation_id": completed.reservation_id,
        "event_id": completed.event_id,
        "payment_intent_id": completed.payment_intent_id,
        "user_id": completed.user_id,
        "trace_id": completed.trace_id,
        "settled_at": datetime.fromtimestamp(completed.at, UTC).isoformat(timespec="milliseconds"),
    }
    return {name: text for name, text in facts.items() if text and len(text) <= LONGEST}


class SnsTopic:
    """An SNS topic by boto3; `connect` makes the client at the first notification."""

    def __init__(self, arn: str, connect: "Callable[[], SNSClient] | None" = None) -> None:
        self._arn = arn
        self._clients: RenewedClients[SNSClient] = RenewedClients(
            connect or self._connect, lambda client: client.close()
        )

    def _connect(self) -> "SNSClient":
        config = Config(
            connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2, "mode": "standard"}
        )
        region = self._arn.split(":")[3]
        return aws.session(region, config, unattended=True).client("sns")

    def publish(self, notifications: Sequence[Mapping[str, str]]) -> set[int]:
        """Send up to ten; returns the positions of those that SNS refused.

        Raises boto3's errors and SqsError.
        """
        entries = [self._entry(str(n), one) for n, one in enumerate(notifications)]
        answer = self._clients.call(
            lambda client: client.publish_batch(
                TopicArn=self._arn, PublishBatchRequestEntries=entries
            )
        )
        refused = failures(answer)
        for failure in refused.values():
            logger.warning("SNS refused a notification: {}", failure)
        return set(refused)

    def _entry(self, name: str, facts: Mapping[str, str]) -> "Entry":
        entry: Entry = {
            "Id": name,
            "Message": json.dumps(facts),
            # For the filters of subscriptions.
            "MessageAttributes": {"type": {"DataType": "String", "StringValue": facts["type"]}},
        }
        if self._arn.endswith(".fifo"):
            # Hashed, because SNS takes 128 characters, and a reservation's id may have as many.
            entry["MessageDeduplicationId"] = sha256(facts["id"].encode()).hexdigest()
            entry["MessageGroupId"] = facts["reservation_id"]
        return entry

    def close(self) -> None:
        """Close the connections."""
        self._clients.close()


class Notifier:
    """`publish` sends up to ten notifications and returns how many were refused."""

    def __init__(
        self, publish: Callable[[Sequence[Mapping[str, str]]], set[int]], metrics: Metrics
    ) -> None:
        self._publish = publish
        self._metrics = metrics
        self._waiting: Batches[dict[str, str]] = Batches(CAPACITY)
        # One pod does not notify twice of a duplicate publication.
        self._notified = RecentIds()
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        """Start sending."""
        self._thread.start()

    def add(self, completed: Completed) -> None:
        """Queue the notification of a delivery. A watcher of outcomes: never blocks."""
        facts = notification(completed)
        if facts is None or self._notified.knows(facts["id"]):
            return
        if self._waiting.put(facts):
            self._notified.remember(facts["id"])
        else:
            self._count("dropped", 1)

    def stop(self, timeout: float) -> None:
        """Send the waiting ones for at most `timeout` seconds; safe before start and twice."""
        if self._thread.is_alive():
            self._waiting.close()
            self._thread.join(timeout)
            if self._thread.is_alive():
                logger.warning("notifications do not get through; the waiting ones are not sent")

    def _run(self) -> None:
        while batch := self._waiting.take():
            self._send(batch)

    def _send(self, batch: Sequence[Mapping[str, str]]) -> None:
        try:
            failed = self._publish(batch)
        except Exception as error:  # the events are settled all the same
            failed = set(range(len(batch)))
            logger.warning("{} notifications could not be sent: {}", len(batch), error)
        for position in failed:
            self._notified.forget(batch[position]["id"])
        self._count("failed", len(failed))
        self._count("sent", len(batch) - len(failed))

    def _count(self, result: str, number: int) -> None:
        self._metrics.notifications.labels(result).inc(number)
