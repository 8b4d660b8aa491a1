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
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.exports import as_dict
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.dlq.purge import delete, report
from reservation_worker.cli.dlq.selection import filtered
from reservation_worker.cli.text import plural
from reservation_worker.errors import OperationError


def run(args: argparse.Namespace, desk: Desk) -> None:
    """Record them in the file, then delete them.

    Raises OperationError unless options choose letters, a person agrees and all were deleted.
    """
    if not filtered(args):
        raise OperationError("resolve closes chosen letters: give --id, --reason, --type or an age")

    def confirm(count: int) -> None:
        if not args.yes:
            desk.confirm(f"Close {plural(count, 'message')} as resolved?", "nothing was closed")

    to_stdout = args.file == streams.STDOUT
    console = terminal.stderr() if args.json or to_stdout else terminal.stdout()
    with _opened(args.file) as out:
        done = delete(args, desk, console, confirm, lambda chunk: _record(out, chunk, args.note))
    as_json = args.json and not to_stdout
    report(desk, console, done, "resolved", as_json=as_json, more={"file": args.file})
    if done.chosen and not args.json and not to_stdout:
        terminal.print_text(console, f"recorded in {args.file}")
    done.check()


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
