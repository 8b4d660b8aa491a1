"""Moves dead letters to the source queue, batch by batch: send, then delete.

A kill between the two leaves a batch's messages in both queues, and a further redrive sends them
again, as any standard queue may deliver a message twice. The keys of both neighbours name
the effect, so the second copy changes nothing (docs/contract.md#idempotency); releases by
quantity, whose key may be forgotten, are not moved unless asked for.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reservation_worker.cli import operator_aws
from reservation_worker.cli.dlq.holds import Holds
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.dlq.queues import Queues
from reservation_worker.cli.sending import paced, send
from reservation_worker.cli.text import plural
from reservation_worker.sqs.batches import message, size

SAFE = 60.0
"""A message is sent only if it stays ours for so many seconds: send and delete take fewer."""
_SEND_PAUSES = (0.5, 2.0)
"""Seconds before each further try of messages that SQS refused for a passing reason."""


@dataclass(slots=True)
class Report:
    """Figures, named as in the JSON; the messages that are still there have their reasons by id.

    `error` ended it early.
    """

    moved: int = 0
    copies_dropped: int = 0
    left: dict[str, str] = field(default_factory=dict)
    moved_but_not_deleted: dict[str, str] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Mover:
    """`pause` waits so many seconds and returns whether to stop; `rate` is messages a second."""

    queues: Queues
    holds: Holds
    pause: Callable[[float], bool]
    rate: float | None = None
    clock: Callable[[], float] = time.monotonic

    def move(
        self, units: Sequence[list[Letter]], watch: Callable[[int], None] = lambda moved: None
    ) -> Report:
        """Move the first of each unit whose hold is safe, and delete all of it.

        A batch under way is finished when a stop is asked for; the rest is left.
        """
        report = Report()
        sized = ((unit, size(unit[0].body, unit[0].producers)) for unit in units)
        for batch in paced(sized, self.pause, self.rate, self.clock):
            self._move(batch, report)
            watch(report.moved)
            if report.error:
                break
        return report

    def _move(self, batch: list[list[Letter]], report: Report) -> None:
        safe = self.holds.safe([letter.id for unit in batch for letter in unit], SAFE)
        ready = []
        for unit in batch:
            first = next((letter for letter in unit if letter.id in safe), None)
            if first is None:
                report.left |= {letter.id: "its hold may have ended" for letter in unit}
            else:
                ready.append((first, unit))
        sent = self._send(ready, report)
        report.moved += len(sent)
        ids = [letter.id for unit in sent for letter in unit]
        failed = self.holds.delete(ids)
        report.moved_but_not_deleted |= failed
        report.copies_dropped += len(ids) - len(sent) - len(failed)
        if ids and len(failed) == len(ids):
            # No right to delete, or no network: each further batch would be in both queues.
            report.error = "nothing could be deleted from the DLQ, so no more was sent"

    def _send(self, ready: list[tuple[Letter, list[Letter]]], report: Report) -> list[list[Letter]]:
        """The units whose first letter was sent."""
        if not ready:
            return []
        done = send(
            ready,
            lambda left: self.queues.send(
                self.queues.known_source(),
                [message(one.body, one.producers, one.trace_header) for one, _ in left],
            ),
            _SEND_PAUSES,
            self.pause,
        )
        report.left |= {letter.id: str(failure) for (letter, _), failure in done.refused}
        if done.error:
            report.error = f"{done.error}; so no more was sent"
            if not operator_aws.refused(done.error):
                report.error += (
                    f"; {plural(len(done.unsure), 'message')} of the DLQ may be in the queue, too:"
                    " the worker settles both as one"
                )
        return [unit for _, unit in done.sent]
