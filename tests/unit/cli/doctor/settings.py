"""Valid settings, as a check gets them."""

from typing import Any

from reservation_worker.cli.doctor.result import CheckResult, CheckStatus

URL = "https://sqs.ap-northeast-2.amazonaws.com/123456789012/reservation-events"
PLACEHOLDER = "https://sqs.ap-northeast-2.amazonaws.com/000000000000/reservation-events"
KNOWN: dict[str, Any] = {
    "sqs_queue_url": URL,
    "sqs_region": "ap-northeast-2",
    "sqs_dlq_url": None,
    "call_timeout": 10.0,
    "max_retries": 5,
    "worker_concurrency": 20,
}


def statuses(rows: list[CheckResult]) -> list[CheckStatus]:
    return [row.status for row in rows]
