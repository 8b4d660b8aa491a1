"""dramatiq with dramatiq-sqs, run by dramatiq's own command."""

from typing import Any

import dramatiq
from dramatiq_sqs import SQSBroker

from benchmarks.peers.work import settle as work

broker = SQSBroker()
dramatiq.set_broker(broker)


# SQS delays by 15 minutes at most; a longer backoff can't be sent, and the event would be lost.
@dramatiq.actor(queue_name="reservation-events", max_backoff=900_000)
def settle(event: dict[str, Any]) -> None:
    """One event."""
    work(event)
