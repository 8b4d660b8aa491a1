"""Does the queue fit the worker? Plain warnings, never a refusal."""

import backoff
from loguru import logger

from reservation_worker.errors import SqsError
from reservation_worker.pipeline.sqs import QueueFacts, SqsQueue

WANTED_VISIBILITY = 60
WANTED_RECEIVES = 30
DAY = 86_400
WANTED_RETENTION = 4 * DAY


def misfits(facts: QueueFacts, call_timeout: float, max_retries: int) -> list[str]:
    """What of the queue does not fit and what that will cost, a sentence each."""
    found = []
    if facts.visibility == 0:
        found.append(
            "VisibilityTimeout is 0 s: nothing can be handled, every message is lost at once"
        )
    elif facts.visibility < call_timeout:
        found.append(
            f"VisibilityTimeout is {facts.visibility} s, shorter than one call"
            f" ({call_timeout:g} s): slow calls are cut short and tried again"
        )
    elif facts.visibility < WANTED_VISIBILITY:
        found.append(
            f"VisibilityTimeout is {facts.visibility} s, {WANTED_VISIBILITY} is wanted: slow"
            " messages cost an extra SQS call each to keep, and a short freeze of the worker loses"
            " them to another pod"
        )
    if facts.max_receive_count is None:
        found.append(
            "the queue has no RedrivePolicy: a message that crashes the worker comes back until"
            " its retention ends"
        )
    elif facts.max_receive_count < WANTED_RECEIVES:
        given = min(max_retries + 1, facts.max_receive_count)
        found.append(
            f"maxReceiveCount is {facts.max_receive_count}, {WANTED_RECEIVES} is wanted: a message"
            f" gets {given} of {max_retries + 1} tries, and an outage or a few crashes let SQS move"
            " it to the dead-letter queue without a reason"
        )
    if facts.retention is not None and facts.retention < WANTED_RETENTION:
        found.append(
            f"MessageRetentionPeriod is {facts.retention / DAY:g} days, {WANTED_RETENTION // DAY}"
            " are wanted: an outage that lasts longer loses events"
        )
    elif facts.retention is not None and facts.retention > WANTED_RETENTION:
        found.append(
            f"MessageRetentionPeriod is {facts.retention / DAY:g} days, {WANTED_RETENTION // DAY}"
            " are wanted: what SQS itself moves to the dead-letter queue keeps its age, and may be"
            " gone there before anybody looks"
        )
    return found


def describe(queue: SqsQueue, call_timeout: float, max_retries: int) -> QueueFacts:
    """The queue's attributes, with a warning for each that does not fit; never a refusal."""
    read = backoff.on_exception(
        backoff.expo,
        SqsError,
        max_tries=3,
        giveup=lambda error: isinstance(error, SqsError) and "Denied" in error.code,
        logger=None,
    )(queue.describe)
    try:
        facts = read()
    except SqsError as error:
        facts = QueueFacts()
        logger.warning(
            "the queue's attributes can't be read, its visibility timeout is taken to be {} s: {}",
            facts.visibility,
            error,
        )
        return facts
    for misfit in misfits(facts, call_timeout, max_retries):
        logger.warning("the queue does not fit: {}", misfit)
    try:
        queue.find_dlq()
    except SqsError as error:
        logger.warning("what fails for good will stay in the queue, unsettled: {}", error)
    return facts
