"""Moves dead letters to the source queue, batch by batch: send, then delete.

A kill between the two leaves a batch's messages in both queues, and a further redrive sends them
again, as any standard queue may deliver a message twice. The keys of both neighbours name
the effect, so the second copy changes nothing (docs/contract.md#idempotency); releases by
quantity, whose key may be forgotten, are not moved unless asked for.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from reservation_worker.cli import operator_aws
from reservation_worker.cli.dlq.holds import Holds
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.dlq.queues import Queues
from reservation_worker.cli.dlq.text import plural
from reservation_worker.errors import OperationError
from reservation_worker.sqs.batches import BATCH, batches, message, size

SAFE = 60.0
"""A message is sent only if it stays ours for so many seconds: send and delete take fewer."""
_SEND_PAUSES = (0.5, 2.0)
"""Seconds before each further try of messages that SQS refused for a passing reason."""
_CALLS_A_SECOND = 4
"""A low rate sends small batches, so that messages are spread over each second."""


@dataclass(slots=True)
class Report:
    """Figures. `left` and `undeleted` have the reasons by message id; `error` ended it early."""

    moved: int = 0
    copies: int = 0
    left: dict[str, str] = field(default_factory=dict)
    undeleted: dict[str, str] = field(default_factory=dict)
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "moved": self.moved,
            "copies_dropped": self.copies,
            "left": self.left,
            "moved_but_not_deleted": self.undeleted,
            "error": self.error,
        }


class Mover:
    """`pause` waits so many seconds and returns whether to stop; `rate` is messages a second."""

    def __init__(
        self,
        queues: Queues,
        holds: Holds,
        pause: Callable[[float], bool],
        rate: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queues = queues
        self._holds = holds
        self._pause = pause
        self._rate = rate
        self._clock = clock

    def move(
        self, units: Sequence[list[Letter]], watch: Callable[[int], None] = lambda moved: None
    ) -> Report:
        """Move the first of each unit whose hold is safe, and delete all of it.

        A batch under way is finished when a stop is asked for; the rest is left.
        """
        report = Report()
        began, started = self._clock(), 0
        most = BATCH
        if self._rate is not None:
            most = max(1, min(BATCH, int(self._rate / _CALLS_A_SECOND)))
        sized = ((unit, size(unit[0].body, unit[0].producers)) for unit in units)
        for batch in batches(sized, most):
            ahead = began + started / self._rate - self._clock() if self._rate else 0.0
            if self._pause(max(0.0, ahead)):
                break
            started += len(batch)
            self._move(batch, report)
            watch(report.moved)
            if report.error:
                break
        return report

    def _move(self, batch: list[list[Letter]], report: Report) -> None:
        safe = self._holds.safe([letter.id for unit in batch for letter in unit], SAFE)
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
        failed = self._holds.delete(ids) if ids else {}
        report.undeleted |= failed
        report.copies += len(ids) - len(sent) - len(failed)
        if ids and len(failed) == len(ids):
            # No right to delete, or no network: each further batch would be in both queues.
            report.error = "nothing could be deleted from the DLQ, so no more was sent"

    def _send(self, ready: list[tuple[Letter, list[Letter]]], report: Report) -> list[list[Letter]]:
        """The units whose first letter was sent."""
        sent: list[list[Letter]] = []
        for pause in (*_SEND_PAUSES, None):
            if not ready:
                break
            entries = [message(one.body, one.producers, one.trace_header) for one, _ in ready]
            try:
                failed = self._queues.send(self._queues.known_source(), entries)
            except OperationError as error:
                report.error = f"{error}; so no more was sent"
                if not operator_aws.refused(error):
                    report.error += (
                        f"; {plural(len(ready), 'message')} of the DLQ may be in the queue, too:"
                        " the worker settles both as one"
                    )
                break
            sent += [unit for at, (_, unit) in enumerate(ready) if at not in failed]
            again = []
            for at, failure in failed.items():
                if pause is None or failure.sender_fault:
                    report.left[ready[at][0].id] = str(failure)
                else:
                    again.append(ready[at])
            ready = again
            if ready and pause is not None:
                self._pause(pause)
        return sent
