"""What `publish` does."""

import argparse
import json
import os

from reservation_worker.cli import operator_aws, streams, terminal
from reservation_worker.cli.interrupt import interrupt_noted
from reservation_worker.cli.publish.publisher import PARALLEL, publish
from reservation_worker.cli.publish.samples import samples_for
from reservation_worker.cli.publish.targets import BusTarget, Entry, QueueTarget, Target
from reservation_worker.config.redaction import Redactor
from reservation_worker.config.sources import survey
from reservation_worker.errors import InvalidEvent, OperationError
from reservation_worker.events.parse import parse

# The settings want a queue; a bus needs none.
_NO_QUEUE = "http://localhost/none"
_SAMPLE_ONLY = ("type", "count", "variant", "prefix", "seed")


def run(args: argparse.Namespace) -> int:
    """See publish.run."""
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
    url = _NO_QUEUE if args.bus else args.queue_url
    settings = survey(given={"SQS_QUEUE_URL": url} if url else {}).settings()
    target = BusTarget(args.bus) if args.bus else QueueTarget(settings.sqs_queue_url)
    entries = _entries(args, target)
    urls = target.connect(settings)
    if not args.yes:
        operator_aws.refuse_real("publish", *urls)
    with interrupt_noted() as interrupt, terminal.progress("sending", "sent", len(entries)) as bar:
        summary = publish(
            target,
            entries,
            interrupt.pause,
            args.rate,
            # The order of a file is kept; that of samples does not matter.
            parallel=1 if args.file else PARALLEL,
            watch=lambda now: bar(completed=now.sent, description=f"{now.rate:.0f}/s"),
        )
    # An error of boto3 may quote an endpoint with a password.
    redact = Redactor(os.environ)
    print(redact(json.dumps(summary.as_dict())) if args.json else summary)
    return summary.exit_code()


def _entries(args: argparse.Namespace, target: Target) -> list[Entry]:
    if not args.file:
        made = samples_for(args, 1, ["reservation.expired"])
        return [target.entry(sample.body) for sample in made]
    found = entries_of(streams.read(args.file), target, args.force)
    if not found:
        raise OperationError(f"{streams.shown(args.file)} holds no event: one a line is expected")
    return found


def entries_of(content: bytes, target: Target, force: bool = False) -> list[Entry]:
    """An entry for each line that is not blank.

    Raises OperationError that names each wrong line. With `force` a line is wrong only if it
    can't be sent: not UTF-8, too large, or not an event for a bus.
    """

    def entry_of(body: str) -> Entry:
        if not force:
            parse(body)
        entry = target.entry(body)
        if (size := target.size(entry)) > target.most_bytes:
            raise InvalidEvent(f"it has {size} bytes, and at most {target.most_bytes} can be sent")
        return entry

    hint = "" if force else " (--force sends what the worker will not understand)"
    return [*streams.read_lines(content, entry_of, hint).values()]
