"""The queue and its dead-letter queue: attributes and permissions."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reservation_worker.cli.doctor import aws_calls, permissions
from reservation_worker.cli.doctor.result import CheckResult, Known, failure, ok, unknown, warning
from reservation_worker.errors import ConfigurationError
from reservation_worker.sqs import session as aws
from reservation_worker.sqs.dead_letters import url_of
from reservation_worker.sqs.facts import DAY, HOPELESS, QueueFacts, dead_letter_arn, misfits
from reservation_worker.sqs.identity import FIFO, QueueIdentity, identity

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

NAME, DLQ = "queue", "dead-letter queue"
Attributes = Mapping[Any, str]


def queue(known: Known) -> list[CheckResult]:
    """Results for the queue, the DLQ and each permission."""
    url, region = known["sqs_queue_url"], known["sqs_region"]
    rows: list[CheckResult] = []
    if (there := QueueIdentity.of_url(url).region) and there != region:
        detail = f"SQS_QUEUE_URL is in {there}, but SQS_REGION (or AWS_REGION) is {region}"
        rows.append(failure(NAME, detail, "correct the one that is wrong"))
    attributes: Attributes | None = None
    try:
        client = aws_calls.session(region).client("sqs")
        attributes = _attributes(client, url)
        rows += check_attributes(known, attributes)
    except ConfigurationError as error:
        return [*rows, failure(NAME, str(error), "correct the variables")]
    except aws.ERRORS as error:
        rows.append(aws_calls.failed_call(NAME, error, "sqs:GetQueueAttributes on the queue"))
        if not aws_calls.denied(error):
            return rows
    dlq_url, found = dead_letters(known, attributes, client)
    return [*rows, *found, *permissions.probe(client, url, dlq_url)]


def check_attributes(known: Known, attributes: Attributes) -> list[CheckResult]:
    """Compares the attributes with the worker's needs (docs/contract.md#queue)."""
    queue = QueueIdentity.of_url(known["sqs_queue_url"])
    waiting = attributes.get("ApproximateNumberOfMessages", "?")
    rows = [ok(NAME, f"{queue.name} exists, {waiting} messages wait")]
    if {"call_timeout", "max_retries"} <= known.keys():
        facts = QueueFacts.read(attributes)
        advice = "change the attribute where the queue is declared"
        for sentence in misfits(facts, known["call_timeout"], known["max_retries"]):
            result = failure if sentence == HOPELESS else warning
            rows.append(result(NAME, sentence, advice))
    if attributes.get("FifoQueue") == "true" or queue.fifo:
        rows.append(failure(NAME, f"it is a FIFO queue: {FIFO}", "use a standard queue"))
    return rows


def dead_letters(
    known: Known, attributes: Attributes | None, client: "SQSClient"
) -> tuple[str | None, list[CheckResult]]:
    """The DLQ's URL, found by the worker's own rule, and its results."""
    arn = dead_letter_arn(attributes or {})
    url = known.get("sqs_dlq_url")
    if url is None and attributes is None:
        advice = "set SQS_DLQ_URL, or allow sqs:GetQueueAttributes on the queue"
        return None, [unknown(DLQ, "the queue's redrive policy can't be read", advice)]
    if url is None and arn is None:
        detail = "there is none: a message that fails permanently comes back every 15 minutes"
        return None, [failure(DLQ, detail, "give the queue a RedrivePolicy, or set SQS_DLQ_URL")]
    rows: list[CheckResult] = []
    try:
        if url is None:
            url = url_of(str(arn), client)
        dead = _attributes(client, url)
        rows += _identity(known["sqs_queue_url"], attributes or {}, url, dead, arn)
        rows += _retention(QueueIdentity.of_url(url).name, dead, attributes or {})
    except aws.ERRORS as error:
        if url is None:
            row = aws_calls.failed_call(
                DLQ, error, "sqs:GetQueueUrl on the DLQ, or set SQS_DLQ_URL"
            )
        elif aws_calls.denied(error):
            advice = "nothing; with sqs:GetQueueAttributes on the DLQ doctor would check it"
            row = unknown(DLQ, "reading its attributes is not allowed", advice)
        else:
            row = aws_calls.failed_call(DLQ, error)
        rows.append(row)
    return url, rows


def _identity(
    queue_url: str, attributes: Attributes, dlq_url: str, dead: Attributes, policy: str | None
) -> list[CheckResult]:
    """A problem if the DLQ is the queue itself, or not the RedrivePolicy's."""
    dlq = identity(dlq_url, dead)
    if dlq.same_as(identity(queue_url, attributes)):
        detail = "it is the queue itself: a dead letter would come back at once"
        return [failure(DLQ, detail, "name another queue in SQS_DLQ_URL or in the RedrivePolicy")]
    if policy and not dlq.same_as(QueueIdentity.of_arn(policy)):
        advice = "set SQS_DLQ_URL and the RedrivePolicy to the same queue"
        return [warning(DLQ, f"SQS itself moves messages to another one: {policy}", advice)]
    return []


def _retention(name: str, dead: Attributes, attributes: Attributes) -> list[CheckResult]:
    rows = [ok(DLQ, f"{name}, {dead.get('ApproximateNumberOfMessages', '?')} messages in it")]
    ours, theirs = QueueFacts.read(attributes).retention, QueueFacts.read(dead).retention
    if ours and theirs and theirs <= ours:
        detail = (
            f"it keeps messages {theirs / DAY:g} days, the queue {ours / DAY:g}: a message"
            " that SQS moves keeps its age, and may expire before anybody looks"
        )
        rows.append(warning(DLQ, detail, "set its MessageRetentionPeriod to the maximum, 14 days"))
    return rows


def _attributes(client: "SQSClient", url: str) -> Attributes:
    return client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
