"""`dlq purge`: deletes the messages that it counted, and none that came since."""

import argparse
import json

from reservation_worker.cli import terminal
from reservation_worker.cli.dlq.choosing import choose
from reservation_worker.cli.dlq.deletion import delete
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.listing import print_chosen
from reservation_worker.cli.dlq.text import plural
from reservation_worker.errors import OperationError


def run(args: argparse.Namespace, desk: Desk) -> int:
    """Delete them. Raises OperationError unless their number is typed and all were deleted."""
    console = terminal.stderr() if args.json else terminal.stdout()
    chosen = choose(args, desk)
    letters = [letter for unit in chosen.units for letter in unit]
    desk.release(desk.holds.ids() - {letter.id for letter in letters})
    print_chosen(console, desk, chosen)
    if letters:
        question = "Type this number to delete them for ever:"
        if desk.answer(question) != str(len(letters)):
            raise OperationError("not confirmed: nothing was deleted")
    done = delete(desk, letters)
    if args.json:
        shown = {
            "dlq": desk.dlq,
            "chosen": len(letters),
            "deleted": done.count,
            "left": done.left,
            **chosen.as_dict(),
            "partial": desk.partial,
            "interrupted": desk.interrupt.came,
        }
        print(json.dumps(shown, indent=2))
    elif letters:
        head = "interrupted: " if desk.interrupt.came else ""
        console.print(f"{head}{done.count} of {plural(len(letters), 'message')} deleted")
    done.check()
    return 130 if desk.interrupt.came else 0
