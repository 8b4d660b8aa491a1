"""Sends in batches: at a rate, and again where SQS or EventBridge refused for a passing reason."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from reservation_worker.errors import OperationError
from reservation_worker.sqs.batches import BATCH, MAX_BYTES, BatchFailure, batches

T = TypeVar("T")

_CALLS_A_SECOND = 4
"""A low rate sends small batches, so that the items are spread over each second."""


def paced(
    sized: Iterable[tuple[T, int]],
    pause: Callable[[float], bool],
    rate: float | None = None,
    clock: Callable[[], float] = time.monotonic,
    most_bytes: int = MAX_BYTES,
) -> Iterator[list[T]]:
    """Batches of the items, which come with their sizes, at `rate` items a second.

    `pause` waits so many seconds and returns whether to stop; without a rate they are 0.
    """
    most = max(1, min(BATCH, int(rate / _CALLS_A_SECOND))) if rate else BATCH
    began, started = clock(), 0
    for batch in batches(sized, most, most_bytes):
        ahead = began + started / rate - clock() if rate else 0.0
        if pause(max(0.0, ahead)):
            return
        started += len(batch)
        yield batch


@dataclass(slots=True)
class Sent(Generic[T]):
    """The items of one batch: `error` ended a call, and `unsure` were in that call."""

    sent: list[T] = field(default_factory=list)
    refused: list[tuple[T, BatchFailure]] = field(default_factory=list)
    unsure: list[T] = field(default_factory=list)
    error: OperationError | None = None


def send(
    batch: Sequence[T],
    call: Callable[[list[T]], Mapping[int, BatchFailure]],
    pauses: Sequence[float] = (),
    pause: Callable[[float], object] = time.sleep,
) -> Sent[T]:
    """Send a batch; `call` returns the failures by position, or raises OperationError.

    After each of `pauses` the items that were refused for a passing reason are sent again.
    """
    done: Sent[T] = Sent()
    left = list(batch)
    for seconds in (*pauses, None):
        try:
            failed = call(left)
        except OperationError as error:
            done.error, done.unsure = error, left
            break
        done.sent += [one for at, one in enumerate(left) if at not in failed]
        again = []
        for at, failure in sorted(failed.items()):
            if seconds is None or failure.sender_fault:
                done.refused.append((left[at], failure))
            else:
                again.append(left[at])
        left = again
        if not left or seconds is None:
            break
        pause(seconds)
    return done
