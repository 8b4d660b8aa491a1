"""The verb `dlq`: look at dead letters, put them back, save them, delete them."""

import argparse
import sys
from importlib import import_module

from reservation_worker.cli.arguments import checked, rate
from reservation_worker.cli.dlq import selection
from reservation_worker.config.parsers import queue_url

NAME = "dlq"
HELP = "Look at dead letters, put them back, save or delete them; any SQS dead-letter queue."

_PACKAGE = "reservation_worker.cli.dlq"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which queues, and a verb of its own for each thing to do."""
    _add_queues(parser)
    verbs = parser.add_subparsers(metavar="WHAT", required=True)

    def add(name: str, module: str, text: str) -> argparse.ArgumentParser:
        child = verbs.add_parser(name, help=text, description=text)
        # Behind the sub-verb, too, where people write them; unset there, they are as before it.
        _add_queues(child, default=argparse.SUPPRESS)
        child.set_defaults(module=module)
        return child

    listed = add("list", "listing", "Groups by reason, type and age, with counts and samples.")
    listed.add_argument("--json", action="store_true", help="print JSON")
    shown = add("show", "show", "One message: body, attributes, and its reservation's state now.")
    shown.add_argument("id", metavar="ID", help="message id or dlq_source_message_id")
    redriven = add(
        "redrive",
        "redrive",
        "Put messages back into the queue, after saying what each would do there now.",
    )
    selection.add_arguments(redriven)
    redriven.add_argument(
        "--include-quantity-releases",
        action="store_true",
        help="those, too, that free seats by number: if inventory-svc has forgotten their"
        " idempotency key, they free seats a second time",
    )
    redriven.add_argument(
        "--rate", type=checked(rate), metavar="N", help="messages a second at most"
    )
    redriven.add_argument("--dry-run", action="store_true", help="say it, and move nothing")
    redriven.add_argument("--yes", action="store_true", help="do not ask")
    exported = add(
        "export", "exports", "Save all messages as JSON Lines; the queue stays as it is."
    )
    exported.add_argument("file", nargs="?", metavar="FILE", help="a new file (default: stdout)")
    imported = add("import", "imports", "Send what `export` saved to the DLQ.")
    imported.add_argument("file", metavar="FILE", help="-: stdin")
    imported.add_argument(
        "--to-queue", action="store_true", help="to the source queue, without our dlq_* attributes"
    )
    add("purge", "purge", "Delete the messages that are there, after their number was typed.")
    due = add(
        "compensations",
        "compensations",
        "Who paid and has no seat, as CSV: one row a reservation and payment.",
    )
    due.add_argument("--json", action="store_true", help="print JSON")


def _add_queues(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    for name, text in (
        ("--dlq-url", "default: SQS_DLQ_URL, or as the queue's redrive policy says"),
        ("--queue-url", "default: SQS_QUEUE_URL"),
    ):
        parser.add_argument(
            name, type=checked(queue_url), default=default, metavar="URL", help=text
        )


def run(args: argparse.Namespace) -> int:
    """Do it: 0 done, 130 after ctrl-C. Raises ConfigurationError and OperationError."""
    from reservation_worker.config.sources import load_settings  # noqa: PLC0415

    given = {"SQS_QUEUE_URL": args.queue_url, "SQS_DLQ_URL": args.dlq_url}
    args.settings = load_settings(given={name: url for name, url in given.items() if url})
    from reservation_worker.cli.dlq.desk import Desk  # noqa: PLC0415
    from reservation_worker.cli.dlq.queues import connect  # noqa: PLC0415

    act = import_module(f"{_PACKAGE}.{args.module}").run
    with Desk(connect(args.settings)) as desk:
        code: int = act(args, desk)
    for text in desk.partial:
        print(f"the view is partial: {text}", file=sys.stderr)
    return code
