"""The verb `dlq`: look at dead letters, put them back, close, save or delete them."""

import argparse
from importlib import import_module
from typing import TYPE_CHECKING

from reservation_worker.cli.arguments import checked, note, rate
from reservation_worker.cli.dlq import selection
from reservation_worker.config.parsers import queue_url

NAME = "dlq"
HELP = "Look at dead letters, put them back, close, save or delete them; any SQS DLQ."

if TYPE_CHECKING:
    from reservation_worker.config.settings import Settings

_NO_QUEUE = "http://localhost/none"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The queues, and a sub-verb for each thing to do."""
    _add_common(parser)
    verbs = parser.add_subparsers(metavar="WHAT", required=True)

    def add(name: str, module: str, text: str) -> argparse.ArgumentParser:
        child = verbs.add_parser(name, help=text, description=text)
        # Also behind the sub-verb, where people write them; unset there, the value before counts.
        _add_common(child, default=argparse.SUPPRESS)
        child.set_defaults(module=module)
        return child

    add("list", "listing", "Groups by reason, type and age, with counts and samples.")
    shown = add("show", "show", "One message: body, attributes, and its reservation's state now.")
    shown.add_argument("id", metavar="ID", help="message id or dlq_source_message_id")
    redriven = add(
        "redrive",
        "redrive",
        "Put messages back into the queue, after showing what each would do there now.",
    )
    selection.add_arguments(redriven)
    redriven.add_argument(
        "--only",
        action="append",
        choices=selection.FATES,
        help="move only messages with this forecast",
    )
    redriven.add_argument(
        "--include-quantity-releases",
        action="store_true",
        help="also move messages that free seats by number: if inventory-svc has forgotten their"
        " idempotency key, they free seats a second time",
    )
    redriven.add_argument(
        "--rate", type=checked(rate), metavar="N", help="messages a second at most"
    )
    redriven.add_argument(
        "--dry-run", action="store_true", help="show the forecast, and move nothing"
    )
    redriven.add_argument("--yes", action="store_true", help="do not ask")
    resolved = add(
        "resolve",
        "resolve",
        "Close chosen messages that somebody has dealt with: record them in a file, delete them.",
    )
    selection.add_arguments(resolved)
    resolved.add_argument(
        "file", metavar="FILE", help="the record, as of `export` with the note; appended. -: stdout"
    )
    resolved.add_argument(
        "--note",
        type=checked(note),
        required=True,
        metavar="TEXT",
        help="why they are closed, such as the refund's id",
    )
    resolved.add_argument("--yes", action="store_true", help="do not ask")
    exported = add(
        "export", "exports", "Save all messages as JSON Lines; the queue stays as it is."
    )
    exported.add_argument("file", nargs="?", metavar="FILE", help="a new file (default: stdout)")
    imported = add(
        "import", "imports", "Send an export's messages to the DLQ, but not those still in it."
    )
    imported.add_argument("file", metavar="FILE", help="-: stdin")
    imported.add_argument(
        "--to-queue", action="store_true", help="to the source queue, without our dlq_* attributes"
    )
    purged = add("purge", "purge", "Delete all or chosen messages, after their number was typed.")
    selection.add_arguments(purged)
    add(
        "compensations",
        "compensations",
        "Customers who paid and have no seat, as CSV: one row a reservation and payment.",
    )


def _add_common(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    for name, text in (
        ("--dlq-url", "default: SQS_DLQ_URL, or the queue's redrive policy"),
        ("--queue-url", "default: SQS_QUEUE_URL; most sub-verbs need only --dlq-url"),
    ):
        parser.add_argument(
            name, type=checked(queue_url), default=default, metavar="URL", help=text
        )
    for name, text in (
        ("--json", "print JSON"),
        (
            "--use-up-receives",
            "read a DLQ that has a RedrivePolicy, from which SQS moves messages on that are read",
        ),
    ):
        off = argparse.SUPPRESS if default else False
        parser.add_argument(name, action="store_true", default=off, help=text)


def run(args: argparse.Namespace) -> int:
    """Do it: 0 done, 130 after ctrl-C. Raises ConfigurationError and OperationError."""
    args.settings, source = _settings(args)
    from reservation_worker.cli.dlq.desk import Desk  # noqa: PLC0415
    from reservation_worker.cli.dlq.queues import connect  # noqa: PLC0415

    act = import_module(f"{__name__}.{args.module}").run
    queues = connect(args.settings, source)
    with Desk(queues, use_up_receives=args.use_up_receives) as desk:
        act(args, desk)
        code = 130 if desk.interrupt.came else 0
    desk.report()
    return code


def _settings(args: argparse.Namespace) -> "tuple[Settings, str | None]":
    """The settings, and the source queue's URL: None where only the DLQ is known and needed.

    Raises ConfigurationError.
    """
    from reservation_worker.config.sources import survey  # noqa: PLC0415

    given = {
        name: url
        for name, url in (("SQS_QUEUE_URL", args.queue_url), ("SQS_DLQ_URL", args.dlq_url))
        if url
    }
    found = survey(given=given)
    needed = args.module == "redrive" or getattr(args, "to_queue", False)
    if args.dlq_url and not needed and not found.values.get("SQS_QUEUE_URL"):
        # The settings want a queue; this sub-verb does not.
        return survey(given=given | {"SQS_QUEUE_URL": _NO_QUEUE}).settings(), None
    settings = found.settings()
    return settings, settings.sqs_queue_url
