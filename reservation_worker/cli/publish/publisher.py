"""Sends entries in batches at a rate, a few calls at once, with further tries."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from reservation_worker.cli.publish.targets import Entry, Target
from reservation_worker.errors import OperationError
from reservation_worker.sqs.batches import BATCH, batches

PAUSES = (0.2, 0.4, 0.8, 1.6)
"""Seconds before each further try of entries that were refused for a passing reason."""

PARALLEL = 8
"""So many calls at once, where the order does not matter: one call is mostly waiting."""

_CALLS_A_SECOND = 4
"""A low rate sends small batches, so that events are spread over each second."""


@dataclass(slots=True)
class Summary:
    """The figures. `errors` counts the failed entries by the target's text.

    `broken`: a whole call failed, so the rest was not tried. After a lost answer boto3 tries again:
    then events may be there twice, and those of a batch that failed may be there, too.
    """

    total: int
    sent: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    interrupted: bool = False
    broken: bool = False

    @property
    def failed(self) -> int:
        """How many could not be sent."""
        return self.errors.total()

    @property
    def rate(self) -> float:
        """Sent a second."""
        return self.sent / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "events": self.total,
            "sent": self.sent,
            "failed": self.failed,
            "errors": dict(self.errors),
            "seconds": round(self.seconds, 2),
            "events_per_second": round(self.rate, 1),
            "interrupted": self.interrupted,
        }


class Publisher:
    """`pause` waits so many seconds and returns whether to stop; `rate` is events a second.

    With `parallel` 1 the order is kept as far as the target keeps it.
    """

    def __init__(
        self,
        target: Target,
        pause: Callable[[float], bool],
        rate: float | None = None,
        parallel: int = 1,
        pauses: Sequence[float] = PAUSES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._pause = pause
        self._rate = rate
        self._parallel = parallel
        self._pauses = pauses
        self._clock = clock

    def publish(
        self, entries: Sequence[Entry], watch: Callable[[Summary], None] = lambda summary: None
    ) -> Summary:
        """Send until all are sent, a call fails for good or a stop is asked for.

        A batch under way is always finished, and counted.
        """
        summary = Summary(len(entries))
        began = self._clock()
        started = 0
        running: set[Future[tuple[int, list[str], bool]]] = set()

        def collect(until: str) -> None:
            nonlocal running
            done, running = wait(running, return_when=until)
            for future in done:
                sent, errors, broken = future.result()
                summary.sent += sent
                summary.errors.update(errors)
                summary.broken |= broken
                summary.seconds = self._clock() - began
                watch(summary)

        with ThreadPoolExecutor(self._parallel, "publish") as pool:
            sized = ((entry, self._target.size(entry)) for entry in entries)
            for batch in batches(sized, self._most(), self._target.most_bytes):
                if len(running) == self._parallel:
                    collect(FIRST_COMPLETED)
                ahead = began + started / self._rate - self._clock() if self._rate else 0.0
                summary.interrupted = self._pause(max(0.0, ahead))
                if summary.interrupted or summary.broken:
                    break
                running.add(pool.submit(self._send, batch))
                started += len(batch)
            collect(ALL_COMPLETED)
        summary.interrupted |= self._pause(0)
        return summary

    def _most(self) -> int:
        return (
            BATCH if self._rate is None else max(1, min(BATCH, int(self._rate / _CALLS_A_SECOND)))
        )

    def _send(self, batch: Sequence[Entry]) -> tuple[int, list[str], bool]:
        """The number sent, the error of each of the others, and whether a whole call failed."""
        left = list(batch)
        errors: list[str] = []
        for pause in (*self._pauses, None):
            try:
                failures = self._target.send(left)
            except OperationError as error:
                return len(batch) - len(errors) - len(left), errors + [str(error)] * len(left), True
            again = []
            for position, failure in sorted(failures.items()):
                if pause is None or failure.sender_fault:
                    errors.append(str(failure))
                else:
                    again.append(left[position])
            left = again
            if not left or pause is None:
                break
            time.sleep(pause)
        return len(batch) - len(errors), errors, False
