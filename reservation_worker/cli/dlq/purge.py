"""`dlq purge`: deletes the messages that it counted, none that came since; and so does resolve.

A few batches at a time, as long as they are surely ours.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from reservation_worker.cli import terminal
from reservation_worker.cli.dlq.choosing import Selection, choose
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.dlq.listing import print_chosen
from reservation_worker.cli.dlq.queues import PARALLEL
from reservation_worker.cli.text import first, plural
from reservation_worker.errors import OperationError
from reservation_worker.sqs.batches import BATCH

_SAFE = 15.0
_CHUNK = BATCH * PARALLEL


def run(args: argparse.Namespace, desk: Desk) -> None:
    """Delete them. Raises OperationError unless their number is typed and all were deleted."""

    def confirm(count: int) -> None:
        if desk.answer("Type this number to delete them for ever:") != str(count):
            raise OperationError("not confirmed: nothing was deleted")

    console = terminal.stderr() if args.json else terminal.stdout()
    done = delete(args, desk, console, confirm)
    report(desk, console, done, "deleted", as_json=args.json)
    done.check()


@dataclass(slots=True)
class Deleted:
    """`left` has the reason for each of the `chosen` messages that is still there, by id."""

    selection: Selection
    chosen: int
    count: int = 0
    left: dict[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Raises OperationError that names the messages that are left."""
        if self.left:
            named = first([f"{one}: {why}" for one, why in self.left.items()])
            head = f"not deleted, run it again: {len(self.left)}"
            raise OperationError("\n  ".join([head, *named]))


def delete(
    args: argparse.Namespace,
    desk: Desk,
    console: Console,
    confirm: Callable[[int], None],
    record: Callable[[Sequence[Letter]], None] = lambda letters: None,
) -> Deleted:
    """Choose, show and delete until all are deleted, a whole chunk fails or ctrl-C came.

    `confirm` is called with the number of messages, unless it is 0, and raises to keep them.
    `record` is called with the letters of each chunk before they are deleted; if it raises, they
    stay.
    """
    selection = choose(args, desk)
    letters = [letter for unit in selection.units for letter in unit]
    desk.holds.release(desk.holds.ids() - {letter.id for letter in letters})
    print_chosen(console, desk, selection)
    if letters:
        confirm(len(letters))
    done = Deleted(selection, len(letters))
    with terminal.progress("deleting", "deleted", len(letters)) as bar:
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
            bar(completed=done.count)
            if len(failed) == len(chunk):
                break  # no right to delete, or no network
    return done


def report(
    desk: Desk,
    console: Console,
    done: Deleted,
    word: str,
    *,
    as_json: bool,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Print what was done, named by `word`; `more` is for the JSON object alone."""
    if as_json:
        figures = {"chosen": done.chosen, word: done.count, "left": done.left}
        desk.print_json(**(more or {}), **figures, **done.selection.as_dict())
    elif done.chosen:
        head = "interrupted: " if desk.interrupt.came else ""
        console.print(f"{head}{done.count} of {plural(done.chosen, 'message')} {word}")
