"""`dlq resolve`: closes letters that somebody has dealt with, and keeps a record of each."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO

from reservation_worker.cli import streams, terminal
from reservation_worker.cli.dlq.choosing import choose
from reservation_worker.cli.dlq.deletion import delete
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.exports import as_dict
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.dlq.listing import print_chosen
from reservation_worker.cli.dlq.selection import filtered
from reservation_worker.cli.dlq.text import plural
from reservation_worker.errors import OperationError


def run(args: argparse.Namespace, desk: Desk) -> int:
    """Record them in the file, then delete them.

    Raises OperationError unless options choose letters, a person agrees and all were deleted.
    """
    if not filtered(args):
        raise OperationError("resolve closes chosen letters: give --id, --reason, --type or an age")
    to_stdout = args.file == streams.STDOUT
    console = terminal.stderr() if args.json or to_stdout else terminal.stdout()
    with _opened(args.file) as out:
        chosen = choose(args, desk)
        letters = [letter for unit in chosen.units for letter in unit]
        desk.release(desk.holds.ids() - {letter.id for letter in letters})
        print_chosen(console, desk, chosen)
        if letters and not args.yes:
            question = f"Close {plural(len(letters), 'message')} as resolved? [y/N]"
            if desk.answer(question).lower() not in ("y", "yes"):
                raise OperationError("not confirmed: nothing was closed")
        done = delete(desk, letters, lambda chunk: _record(out, chunk, args.note))
    if args.json and not to_stdout:
        shown = {
            "dlq": desk.dlq,
            "file": args.file,
            "chosen": len(letters),
            "resolved": done.count,
            "left": done.left,
            **chosen.as_dict(),
            "partial": desk.partial,
            "interrupted": desk.interrupt.came,
        }
        print(json.dumps(shown, indent=2))
    elif letters:
        head = "interrupted: " if desk.interrupt.came else ""
        console.print(f"{head}{done.count} of {plural(len(letters), 'message')} resolved")
        if not to_stdout:
            terminal.print_text(console, f"recorded in {args.file}")
    done.check()
    return 130 if desk.interrupt.came else 0


@contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    """The record, to append to; a new one stays only if something was written.

    Raises OperationError, also for a write that fails later.
    """
    if name == streams.STDOUT:
        yield streams.output()
        return
    new = not os.path.lexists(name)
    try:
        # Customers' data: only its owner may read it.
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            with open(file, "a") as out:
                yield out
        finally:
            if new and not os.path.getsize(name):
                os.unlink(name)
    except OSError as error:
        raise OperationError(f"{name} can't be written: {error.strerror}") from error


def _record(out: TextIO, letters: Sequence[Letter], note: str) -> None:
    """A line of `dlq export` for each, with time and note, on the disk when this returns."""
    resolved = {
        "resolved_time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "resolved_note": note,
    }
    for letter in letters:
        out.write(json.dumps(as_dict(letter) | resolved) + "\n")
    out.flush()
    if out is not sys.stdout:
        os.fsync(out.fileno())
