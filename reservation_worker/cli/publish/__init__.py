"""The verb `publish`: sends sample events, or those of a file, to the queue or to a bus."""

import argparse
import json
import os
from typing import TYPE_CHECKING

from reservation_worker.cli.arguments import bus, checked, kind, prefix, rate, seed
from reservation_worker.config.parsers import queue_url, whole
from reservation_worker.config.redaction import Redactor
from reservation_worker.errors import OperationError
from reservation_worker.events.kinds import BY_LABEL

if TYPE_CHECKING:
    from reservation_worker.cli.publish.publisher import Summary
    from reservation_worker.cli.publish.samples import Sample
    from reservation_worker.cli.publish.targets import Entry, Target
    from reservation_worker.config.settings import Settings

NAME = "publish"
HELP = "Send sample events, or those of a file, to the queue or to an EventBridge bus."

EPILOG = (
    "Real workers settle these events: a sample is about a reservation that nobody made, so at a "
    "real reservation-api it becomes a dead letter, and for payment.approved an alert; an event of "
    "a file acts on its reservation. That is why --yes is needed unless the target is on this "
    "machine."
)

# The settings want a queue; a bus needs none.
_NO_QUEUE = "http://localhost/none"
_SAMPLE_ONLY = ("type", "count", "variant", "prefix", "seed")
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
    """The options of the samples. The defaults here are for the help: `samples_for` has them."""
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
    from reservation_worker.cli import operator_aws  # noqa: PLC0415
    from reservation_worker.cli.publish.targets import BusTarget, QueueTarget  # noqa: PLC0415

    given = [f"--{name}" for name in _SAMPLE_ONLY if getattr(args, name) is not None]
    if args.file == "":
        # A script's variable may be unset: that is no wish to send a sample.
        args.refuse("--file needs a name")
    if args.file and given:
        args.refuse(f"--file has its own events: {', '.join(given)} can't be used with it")
    if args.dry_run:
        target: Target = BusTarget(args.bus) if args.bus else QueueTarget("")
        for entry in _entries(args, target):
            print(target.show(entry))
        return 0
    settings = settings_for(_NO_QUEUE if args.bus else args.queue_url)
    target = BusTarget(args.bus) if args.bus else QueueTarget(settings.sqs_queue_url)
    entries = _entries(args, target)
    target.connect(settings)
    if not args.yes:
        operator_aws.refuse_real("publish", *target.urls)
    summary = _publish(args, target, entries)
    # An error of boto3 may quote an endpoint with a password.
    redact = Redactor(os.environ)
    print(redact(json.dumps(summary.as_dict())) if args.json else as_line(summary))
    return exit_code(summary)


def settings_for(url: str | None) -> "Settings":
    """The settings in force, with `url` in place of SQS_QUEUE_URL wherever that was set."""
    from reservation_worker.config.sources import survey  # noqa: PLC0415

    return survey(given={"SQS_QUEUE_URL": url} if url else {}).settings()


def as_line(summary: "Summary") -> str:
    """The summary for a person."""
    head = "interrupted: " if summary.interrupted else ""
    failed = f", {summary.failed} failed" if summary.failed else ""
    return (
        f"{head}sent {summary.sent} of {summary.total} events in {summary.seconds:.1f} s, "
        f"{summary.rate:.0f}/s{failed}"
    )


def exit_code(summary: "Summary") -> int:
    """The exit code. Raises OperationError if something could not be sent."""
    if summary.failed:
        errors = "; ".join(f"{error} ({count})" for error, count in summary.errors.most_common(5))
        raise OperationError(f"{summary.failed} of {summary.total} events failed: {errors}")
    return 130 if summary.interrupted else 0


def samples_for(args: argparse.Namespace, count: int, types: "list[str]") -> "list[Sample]":
    """The samples that `add_sample_arguments` asks for; `count` and `types` are the defaults."""
    import random  # noqa: PLC0415
    from datetime import UTC, datetime  # noqa: PLC0415

    from reservation_worker.cli.publish.samples import samples  # noqa: PLC0415
    from reservation_worker.simulator.story.samples import SEEDED_TIME  # noqa: PLC0415

    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    try:
        return samples(
            args.count or count,
            args.type or types,
            now if args.seed is None else SEEDED_TIME,
            random.Random(args.seed),  # noqa: S311 -- these are samples, no secrets
            args.prefix or "",
            args.variant or "canonical",
            by_bus=args.bus is not None,
        )
    except ValueError as error:
        args.refuse(str(error))
        raise


def _entries(args: argparse.Namespace, target: "Target") -> "list[Entry]":
    from reservation_worker.cli import streams  # noqa: PLC0415
    from reservation_worker.cli.publish import lines  # noqa: PLC0415

    if not args.file:
        made = samples_for(args, 1, ["reservation.expired"])
        return [target.entry(sample.body) for sample in made]
    found = lines.entries(streams.read(args.file), target, args.force)
    if not found:
        raise OperationError(f"{streams.shown(args.file)} holds no event: one a line is expected")
    return found


def _publish(args: argparse.Namespace, target: "Target", entries: "list[Entry]") -> "Summary":
    from reservation_worker.cli import terminal  # noqa: PLC0415
    from reservation_worker.cli.interrupt import interrupt_noted  # noqa: PLC0415
    from reservation_worker.cli.publish.publisher import PARALLEL, Publisher  # noqa: PLC0415

    with interrupt_noted() as interrupt, terminal.progress("sent") as bar:
        task = bar.add_task("sending", total=len(entries))
        # The order of a file is kept; that of samples does not matter.
        publisher = Publisher(target, interrupt.pause, args.rate, 1 if args.file else PARALLEL)
        return publisher.publish(
            entries,
            lambda so_far: bar.update(
                task, completed=so_far.sent, description=f"{so_far.rate:.0f}/s"
            ),
        )
