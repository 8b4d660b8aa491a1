"""Sends entries in batches, a few calls at once."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from reservation_worker.cli.publish.targets import Entry, Target
from reservation_worker.cli.sending import Sent, paced, send
from reservation_worker.errors import OperationError

PAUSES = (0.2, 0.4, 0.8, 1.6)
"""Seconds before each further try of entries that were refused for a passing reason."""

PARALLEL = 8
"""So many calls at once, where the order does not matter: one call is mostly waiting."""


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

    def add(self, batch: Sent[Entry]) -> None:
        """Count the entries of a batch."""
        self.sent += len(batch.sent)
        self.errors.update(str(failure) for _, failure in batch.refused)
        if batch.error:
            self.errors[str(batch.error)] += len(batch.unsure)
            self.broken = True

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

    def __str__(self) -> str:
        head = "interrupted: " if self.interrupted else ""
        failed = f", {self.failed} failed" if self.failed else ""
        return (
            f"{head}sent {self.sent} of {self.total} events in {self.seconds:.1f} s,"
            f" {self.rate:.0f}/s{failed}"
        )

    def exit_code(self) -> int:
        """The exit code. Raises OperationError if something could not be sent."""
        if self.failed:
            errors = "; ".join(f"{error} ({count})" for error, count in self.errors.most_common(5))
            raise OperationError(f"{self.failed} of {self.total} events failed: {errors}")
        return 130 if self.interrupted else 0


def publish(
    target: Target,
    entries: Sequence[Entry],
    pause: Callable[[float], bool],
    rate: float | None = None,
    *,
    parallel: int = 1,
    pauses: Sequence[float] = PAUSES,
    clock: Callable[[], float] = time.monotonic,
    watch: Callable[[Summary], None] = lambda summary: None,
) -> Summary:
    """Send until all are sent, a call fails for good, or `pause` reports a stop (see `paced`).

    A batch under way is always finished, and counted. With `parallel` 1 the order is kept as far
    as the target keeps it.
    """
    summary = Summary(len(entries))
    began = clock()
    running: set[Future[Sent[Entry]]] = set()

    def collect(until: str) -> None:
        nonlocal running
        done, running = wait(running, return_when=until)
        for future in done:
            summary.add(future.result())
            summary.seconds = clock() - began
            watch(summary)

    with ThreadPoolExecutor(parallel, "publish") as pool:
        sized = ((entry, target.size(entry)) for entry in entries)
        for batch in paced(sized, pause, rate, clock, target.most_bytes):
            running.add(pool.submit(send, batch, target.send, pauses))
            if len(running) == parallel:
                collect(FIRST_COMPLETED)
            if summary.broken:
                break
        collect(ALL_COMPLETED)
    summary.interrupted = pause(0)
    return summary
