"""Deletes chosen letters, a few batches at a time, as long as they are surely ours."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reservation_worker.cli import terminal
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.dlq.queues import PARALLEL
from reservation_worker.errors import OperationError
from reservation_worker.sqs.batches import BATCH

_SAFE = 15.0
_CHUNK = BATCH * PARALLEL
_NAMED = 20


@dataclass(slots=True)
class Deleted:
    """`left` has the reason for each message that is still there, by id."""

    count: int = 0
    left: dict[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Raises OperationError that names the messages that are left."""
        if self.left:
            named = "".join(f"\n  {one}: {why}" for one, why in [*self.left.items()][:_NAMED])
            more = len(self.left) - _NAMED
            named += f"\n  and {more} more" if more > 0 else ""
            raise OperationError(f"not deleted, run it again: {len(self.left)}{named}")


def delete(
    desk: Desk,
    letters: Sequence[Letter],
    record: Callable[[Sequence[Letter]], None] = lambda letters: None,
) -> Deleted:
    """Delete until all are deleted, a whole chunk fails or ctrl-C came.

    `record` is called with the letters of each chunk before they are deleted; if it raises, they
    stay.
    """
    done = Deleted()
    with terminal.progress("deleted") as bar:
        task = bar.add_task("deleting", total=len(letters))
        for start in range(0, len(letters), _CHUNK):
            if desk.interrupt.came:
                break
            chunk = letters[start : start + _CHUNK]
            safe = desk.holds.safe([one.id for one in chunk], _SAFE)
            record([one for one in chunk if one.id in safe])
            failed = {one.id: "its hold may have ended" for one in chunk if one.id not in safe}
            failed |= desk.holds.delete(one.id for one in chunk if one.id in safe)
            done.left |= failed
            done.count += len(chunk) - len(failed)
            bar.update(task, completed=done.count)
            if len(failed) == len(chunk):
                break  # no right to delete, or no network
    return done
