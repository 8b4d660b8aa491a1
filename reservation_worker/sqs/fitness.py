"""Does the queue fit the worker? Plain warnings at start, never a refusal."""

import backoff
from loguru import logger

from reservation_worker.errors import SqsError
from reservation_worker.sqs.facts import QueueFacts, misfits
from reservation_worker.sqs.queue import SqsQueue


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
