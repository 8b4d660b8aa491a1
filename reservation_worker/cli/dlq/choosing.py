"""The letters that the options choose, each with its copies."""

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.letters import Letter, by_origin
from reservation_worker.cli.dlq.selection import matches
from reservation_worker.cli.text import plural
from reservation_worker.errors import OperationError
from reservation_worker.sqs.batches import size
from reservation_worker.sqs.identity import QueueIdentity

_MOST_BYTES = 512 * 1024 * 1024
"""So much is held in memory; the rest waits for the next run."""


@dataclass(frozen=True, slots=True)
class Selection:
    """`units` are the chosen messages, each with its copies; `read` is how many messages there are.

    `others` counts the messages of other queues by queue, which nothing may choose. In a DLQ that
    is shared so, `unknown` messages can't be attributed and are not chosen either.
    """

    units: list[list[Letter]]
    read: int
    others: Counter[str] = field(default_factory=Counter)
    unknown: int = 0

    @property
    def unknown_text(self) -> str:
        """The sentence on the `unknown` messages."""
        return (
            f"{plural(self.unknown, 'message')} left: neither SQS nor a worker has written which"
            " queue they come from, and the DLQ is shared"
        )

    def as_dict(self) -> dict[str, Any]:
        """The part that is not chosen, as plain JSON values."""
        return {"other_queues": dict(self.others), "unknown_queue": self.unknown}


def choose(args: argparse.Namespace, desk: Desk) -> Selection:
    """Read the DLQ and choose. Raises OperationError for an id that is not there."""
    others: Counter[str] = Counter()
    wanted = set(args.id or ())
    own = []
    read = 0
    for letter in _within_memory(desk):
        read += 1
        wanted -= {letter.id, letter.source_id}
        if (queue := letter.other_queue(desk.queues.source)) is not None:
            others[queue] += 1
        else:
            own.append(letter)
    if wanted:
        raise OperationError(no_message(desk, *sorted(wanted)))
    if own and (name := desk.queues.other_dlq()):
        this = QueueIdentity.of_url(desk.dlq).name
        desk.warnings.append(
            f"the RedrivePolicy of {desk.source} names {name}, not {this}: is this DLQ another"
            " queue's?"
        )
    unknown = sum(one.origin_unknown for one in own) if others else 0
    if unknown:
        own = [one for one in own if not one.origin_unknown]
    units = [unit for unit in by_origin(own) if any(matches(args, one) for one in unit)]
    return Selection(units, read, others, unknown)


def no_message(desk: Desk, *ids: str) -> str:
    """The sentence on ids that are not in the DLQ."""
    lacks = f" (the view is partial: {'; '.join(desk.partial)})" if desk.partial else ""
    return f"there is no message {', '.join(ids)} in {desk.dlq}{lacks}"


def _within_memory(desk: Desk) -> Iterator[Letter]:
    held = 0
    for letter in desk.letters():
        held += size(letter.body, letter.attributes)
        if held > _MOST_BYTES:
            desk.partial.append(f"over {_MOST_BYTES >> 20} MiB of messages: run it again")
            return
        yield letter
