"""`dlq resolve`: closes letters that somebody has dealt with, and keeps a record of each."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
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
    new = not to_stdout and not os.path.lexists(args.file)
    console = terminal.stderr() if args.json or to_stdout else terminal.stdout()
    with streams.written(args.file, os.O_APPEND) as out:
        try:
            done = delete(
                args, desk, console, confirm, lambda chunk: _record(out, chunk, args.note)
            )
        finally:
            # A new file stays only if something was written.
            if new and not os.path.getsize(args.file):
                os.unlink(args.file)
    as_json = args.json and not to_stdout
    report(desk, console, done, "resolved", as_json=as_json, more={"file": args.file})
    if done.chosen and not args.json and not to_stdout:
        terminal.print_text(console, f"recorded in {args.file}")
    done.check()


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
