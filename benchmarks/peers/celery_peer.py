"""celery with its SQS transport, run by celery's own command."""

import os
from typing import Any
from urllib.parse import urlsplit

from celery import Celery

from benchmarks.peers.work import settle as work

app = Celery("peer", broker=f"sqs://{urlsplit(os.environ['AWS_ENDPOINT_URL']).netloc}")
app.conf.update(
    broker_transport_options={
        "is_secure": False,
        "region": os.environ["AWS_REGION"],
        "wait_time_seconds": 20,
        "predefined_queues": {
            "reservation-events": {
                "url": os.environ["SQS_QUEUE_URL"],
                "access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
                "secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
            }
        },
    },
    task_default_queue="reservation-events",
    # The default deletes before the work is done.
    task_acks_late=True,
    task_ignore_result=True,
    # It would want a queue of its own for each worker.
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
)


@app.task(name="settle")
def settle(event: dict[str, Any]) -> None:
    """One event."""
    work(event)
