"""The verb `burst`: a load test of running workers, from the first send to the last outcome."""

import argparse

from reservation_worker.cli.arguments import checked
from reservation_worker.cli.publish import add_sample_arguments
from reservation_worker.config.parsers import base_url, queue_url, seconds

NAME = "burst"
HELP = "Load test: publish events, wait until running workers are done with them, print figures."
EPILOG = (
    "It writes to the real queue, about reservations that nobody made: at a real reservation-api "
    "each PATCH ends with 404, so every event becomes a dead letter, permanent_error or, for "
    "payment.approved, compensation_required, which raises an alert. That is why --yes is needed "
    "unless queue and endpoint are on this machine. With the simulator, --seed-url makes the "
    "reservations first. Take a quiet queue: whatever else the workers settle meanwhile counts."
)

TIMEOUT = 120.0
"""The default wait for the last outcome, in seconds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing has to be given, beside a local queue."""
    parser.epilog = EPILOG
    add_sample_arguments(parser, "1000", "all")
    parser.add_argument("--queue-url", type=checked(queue_url), help="default: SQS_QUEUE_URL")
    parser.add_argument(
        "--metrics-url",
        action="append",
        type=checked(base_url),
        metavar="URL",
        help="a worker's metrics; once for each (default: http://127.0.0.1:SERVER_PORT/metrics)",
    )
    parser.add_argument(
        "--seed-url",
        type=checked(base_url),
        metavar="URL",
        help="the simulator's control app: make the reservations there first",
    )
    parser.add_argument(
        "--timeout",
        type=checked(seconds(86_400)),
        default=TIMEOUT,
        metavar="SECONDS",
        help=f"give up after so long (default: {TIMEOUT:g})",
    )
    parser.add_argument("--yes", action="store_true", help="write to a queue that is not local")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.set_defaults(refuse=parser.error, variant=None, bus=None)


def run(args: argparse.Namespace) -> int:
    """Run it: 0 if every event was settled or dead-lettered, 130 after ctrl-C.

    Raises OperationError if a worker does not answer, something could not be sent, or time is up.
    """
    from reservation_worker.cli.burst import command  # noqa: PLC0415

    return command.run(args)
