"""The verb `burst`: a load test of running workers, from the first send to the last outcome."""

import argparse
import json
import time
from typing import TYPE_CHECKING

from reservation_worker.cli.arguments import checked
from reservation_worker.cli.publish import (
    add_sample_arguments,
    as_line,
    exit_code,
    samples_for,
    settings_for,
)
from reservation_worker.config.parsers import base_url, queue_url, seconds
from reservation_worker.errors import OperationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from reservation_worker.cli.burst.watch import Watch
    from reservation_worker.cli.interrupt import Interrupt
    from reservation_worker.cli.publish.publisher import Summary
    from reservation_worker.cli.publish.samples import Sample
    from reservation_worker.config.settings import Settings
    from reservation_worker.simulator.metrics import Metrics

NAME = "burst"
HELP = "Load test: publish events, wait until running workers have settled them, print figures."
EPILOG = (
    "It writes to the real queue, about reservations that nobody made: at a real reservation-api "
    "each PATCH ends with 404, so every event becomes a dead letter, permanent_error or, for "
    "payment.approved, compensation_required, which raises an alert. That is why --yes is needed "
    "unless queue and endpoint are on this machine. With the simulator, --seed-url makes the "
    "reservations first. Take a quiet queue: whatever else the workers settle meanwhile counts."
)

TIMEOUT = 120.0
"""The default wait for the last outcome, in seconds."""

_GLANCE = 0.1
_SEEDS = 500


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
    """Run it: 0 if all were settled, 130 after ctrl-C.

    Raises OperationError if a worker does not answer, something could not be sent, or time is up.
    """
    from reservation_worker.cli import operator_aws, terminal  # noqa: PLC0415
    from reservation_worker.cli.burst.watch import Watch  # noqa: PLC0415
    from reservation_worker.cli.interrupt import interrupt_noted  # noqa: PLC0415
    from reservation_worker.cli.publish.publisher import PARALLEL, Publisher  # noqa: PLC0415
    from reservation_worker.cli.publish.targets import QueueTarget  # noqa: PLC0415
    from reservation_worker.simulator.story.samples import TYPES  # noqa: PLC0415

    settings = settings_for(args.queue_url)
    target = QueueTarget(settings.sqs_queue_url)
    target.connect(settings)
    if not args.yes:
        operator_aws.refuse_real("a burst", *target.urls)
    watch = Watch(args.metrics_url or [_metrics_url(settings)])
    made = samples_for(args, 1000, list(TYPES))
    if args.seed_url:
        _seed(args.seed_url, made)
    began = time.monotonic()
    with interrupt_noted() as interrupt, terminal.progress("settled") as bar:
        task = bar.add_task("publishing", total=len(made))
        summary = Publisher(target, interrupt.pause, parallel=PARALLEL).publish(
            [target.entry(sample.body) for sample in made]
        )
        bar.update(task, description="settling")
        gained, problem = _wait(
            watch,
            0 if summary.failed else summary.sent,
            began + args.timeout,
            interrupt,
            lambda settled: bar.update(task, completed=settled),
        )
        summary.interrupted |= interrupt.came
    _show(args, summary, gained, time.monotonic() - began)
    if problem:
        raise OperationError(
            f"{problem}; until then {gained.settled()} of {summary.sent} events were settled, with "
            f"{gained.retries()} retries"
        )
    return exit_code(summary)


def _wait(
    watch: "Watch",
    events: int,
    deadline: float,
    interrupt: "Interrupt",
    watch_settled: "Callable[[int], object]",
) -> "tuple[Metrics, str]":
    """The workers' gain when `events` are settled, ctrl-C came or it failed, and the problem."""
    from reservation_worker.simulator.metrics import Metrics  # noqa: PLC0415

    gained = Metrics()
    try:
        while True:
            gained = watch.gained()
            watch_settled(gained.settled())
            if gained.settled() >= events or interrupt.pause(_GLANCE):
                return gained, ""
            if time.monotonic() > deadline:
                return gained, "time is up (--timeout); the workers' logs and /ready may say why"
    except OperationError as error:
        return gained, str(error)


def _show(args: argparse.Namespace, summary: "Summary", gained: "Metrics", took: float) -> None:
    from reservation_worker.cli import terminal  # noqa: PLC0415
    from reservation_worker.cli.outcomes_view import outcomes  # noqa: PLC0415

    settled = gained.settled()
    if args.json:
        figures = {
            "events": summary.total,
            "sent": summary.sent,
            "settled": settled,
            "seconds": round(took, 2),
            "events_per_second": round(settled / took, 1),
            "publishing_seconds": round(summary.seconds, 2),
            "outcomes": gained.outcomes(),
            "latency_ms": gained.latencies_ms(),
            "retries": gained.retries(),
            "interrupted": summary.interrupted,
        }
        print(json.dumps(figures))
        return
    terminal.stdout().print(outcomes(gained))
    print(f"{as_line(summary)}; {settled} settled in {took:.1f} s, {settled / took:.0f}/s")
    if settled > summary.sent:
        print(f"{settled - summary.sent} of them were others' events: the queue is not quiet")


def _metrics_url(settings: "Settings") -> str:
    from reservation_worker.cli import worker_http  # noqa: PLC0415

    return f"{worker_http.base_url(settings.server_host, settings.server_port)}/metrics"


def _seed(url: str, made: "list[Sample]") -> None:
    """Make the reservations. Raises OperationError."""
    from reservation_worker.cli import worker_http  # noqa: PLC0415

    for start in range(0, len(made), _SEEDS):
        rows = [sample.record.as_dict() for sample in made[start : start + _SEEDS]]
        body = json.dumps({"reservations": rows}).encode()
        answer = worker_http.post_json(f"{url}/reservations", body)
        if answer.status != 200:
            text = answer.body[:200].decode(errors="replace").strip()
            raise OperationError(
                f"{url} made no reservations, it answers {answer.status}: {text!r}"
            )
