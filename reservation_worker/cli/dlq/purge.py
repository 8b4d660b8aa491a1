"""`dlq purge`: deletes the messages that it counted, and none that came since."""

import argparse

from reservation_worker.cli import terminal
from reservation_worker.cli.dlq.deletion import delete, report
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.errors import OperationError


def run(args: argparse.Namespace, desk: Desk) -> None:
    """Delete them. Raises OperationError unless their number is typed and all were deleted."""

    def confirm(count: int) -> None:
        if desk.answer("Type this number to delete them for ever:") != str(count):
            raise OperationError("not confirmed: nothing was deleted")

    console = terminal.stderr() if args.json else terminal.stdout()
    done = delete(args, desk, console, confirm)
    report(desk, console, done, "deleted", as_json=args.json)
    done.check()
