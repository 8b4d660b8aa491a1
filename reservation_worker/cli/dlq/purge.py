"""`dlq purge`: deletes what was counted, and not what came since."""

import argparse

from reservation_worker.cli import terminal
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.text import plural
from reservation_worker.errors import OperationError
from reservation_worker.sqs.batches import BATCH

_SAFE = 15.0
_NAMED = 20


def run(args: argparse.Namespace, desk: Desk) -> int:
    """Delete them. Raises OperationError unless their number is typed, and for what is left."""
    console = terminal.stdout()
    ids = [letter.id for letter in desk.letters()]
    if not ids:
        console.print(f"{desk.dlq} is empty", soft_wrap=True)
        return 0
    console.print(f"{plural(len(ids), 'message')} in {desk.dlq}", soft_wrap=True)
    if desk.answer("Type this number to delete them for ever:") != str(len(ids)):
        raise OperationError("not confirmed: nothing was deleted")
    deleted = 0
    left: dict[str, str] = {}
    with terminal.progress("deleted") as bar:
        task = bar.add_task("deleting", total=len(ids))
        for start in range(0, len(ids), BATCH):
            if desk.interrupt.came:
                break
            batch = ids[start : start + BATCH]
            safe = desk.holds.safe(batch, _SAFE)
            failed = {one: "its hold may have ended" for one in batch if one not in safe}
            failed |= desk.holds.delete(one for one in batch if one in safe)
            left |= failed
            deleted += len(batch) - len(failed)
            bar.update(task, completed=deleted)
            if len(failed) == len(batch):
                break  # no right to delete, or no network
    head = "interrupted: " if desk.interrupt.came else ""
    console.print(f"{head}{deleted} of {plural(len(ids), 'message')} deleted")
    if left:
        named = "".join(f"\n  {one}: {why}" for one, why in [*left.items()][:_NAMED])
        raise OperationError(f"{plural(len(left), 'message')} not deleted: purge again{named}")
    return 130 if desk.interrupt.came else 0
