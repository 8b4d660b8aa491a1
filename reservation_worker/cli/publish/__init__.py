"""The verb `publish`: sends sample events, or those of a file, to the queue or to a bus."""

import argparse

from reservation_worker.cli.arguments import bus, checked, kind, prefix, rate, seed
from reservation_worker.config.parsers import queue_url, whole
from reservation_worker.events.kinds import BY_LABEL

NAME = "publish"
HELP = "Send sample events, or those of a file, to the queue or to an EventBridge bus."

EPILOG = (
    "Real workers settle these events: a sample is about a reservation that nobody made, so at a "
    "real reservation-api it becomes a dead letter, and for payment.approved an alert; an event of "
    "a file acts on its reservation. That is why --yes is needed unless the target is on this "
    "machine."
)

# Those of the simulator's variants.py, which a test holds them to.
_VARIANTS = (
    "canonical", "eventbridge", "pascal_case", "camel_case", "flat", "sns", "nested",
    "legacy_type", "payment_status",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The events, their number, their rate and their target."""
    parser.epilog = EPILOG
    add_sample_arguments(parser, "1", "expired")
    parser.add_argument(
        "--variant",
        choices=(*_VARIANTS, "all"),
        help="how a producer writes them; all: in turns (default: canonical)",
    )
    parser.add_argument(
        "--file", metavar="FILE", help="send these events instead, one a line; -: stdin"
    )
    parser.add_argument("--rate", type=checked(rate), metavar="N", help="events a second at most")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--queue-url", type=checked(queue_url), help="default: SQS_QUEUE_URL")
    where.add_argument("--bus", type=checked(bus), metavar="NAME_OR_ARN", help="put them on a bus")
    parser.add_argument(
        "--force",
        action="store_true",
        help="also send lines that the worker will not understand: they are dead-lettered",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the bodies and send nothing")
    parser.add_argument(
        "--yes", action="store_true", help="send to a queue or bus that is not on this machine"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.set_defaults(refuse=parser.error)


def add_sample_arguments(parser: argparse.ArgumentParser, count: str, types: str) -> None:
    """The options of the samples. The defaults here are for the help: samples.py has them."""
    parser.add_argument(
        "--type",
        action="append",
        type=checked(kind),
        help=f"{', '.join(BY_LABEL)} or a canonical name; several: in turns (default: {types})",
    )
    parser.add_argument(
        "--count",
        type=checked(whole(1, 100_000)),
        metavar="N",
        help=f"how many (default: {count})",
    )
    parser.add_argument(
        "--prefix",
        type=checked(prefix),
        help="of the reservation ids (default: another for each run)",
    )
    parser.add_argument(
        "--seed",
        type=checked(seed),
        metavar="N",
        help="the same seed makes the same events, ids included",
    )


def run(args: argparse.Namespace) -> int:
    """Send: 0 if all were sent, 1 if not, 130 after ctrl-C.

    Raises OperationError, and ConfigurationError where settings are needed and wrong.
    """
    from reservation_worker.cli.publish import command  # noqa: PLC0415

    return command.run(args)
