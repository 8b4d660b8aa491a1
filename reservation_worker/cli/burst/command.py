"""What `burst` does: it publishes samples and watches the workers' metrics until all ended."""

import argparse
import json
import time
from collections.abc import Callable, Sequence

from reservation_worker.cli import operator_aws, terminal, worker_http
from reservation_worker.cli.interrupt import Interrupt, interrupt_noted
from reservation_worker.cli.outcomes_view import outcomes
from reservation_worker.cli.publish.publisher import PARALLEL, Summary, publish
from reservation_worker.cli.publish.samples import Sample, samples_for
from reservation_worker.cli.publish.targets import QueueTarget
from reservation_worker.config.sources import survey
from reservation_worker.errors import OperationError
from reservation_worker.simulator.metrics import Metrics
from reservation_worker.simulator.story.samples import TYPES

_GLANCE = 0.1
_SEEDS = 500
_START = "process_start_time_seconds"
# Linux works it out anew at each reading, and may differ a little from itself.
_SAME_START = 2.0


def run(args: argparse.Namespace) -> int:
    """See burst.run."""
    settings = survey(given={"SQS_QUEUE_URL": args.queue_url} if args.queue_url else {}).settings()
    target = QueueTarget(settings.sqs_queue_url)
    urls = target.connect(settings)
    if not args.yes:
        operator_aws.refuse_real("a burst", *urls)
    workers = args.metrics_url or [
        f"{worker_http.base_url(settings.server_host, settings.server_port)}/metrics"
    ]
    watch = Watch(workers)
    made = samples_for(args, 1000, TYPES)
    if args.seed_url:
        _seed(args.seed_url, made)
    entries = [target.entry(sample.body) for sample in made]
    began = time.monotonic()
    with interrupt_noted() as interrupt, terminal.progress("publishing", "ended", len(made)) as bar:
        summary = publish(target, entries, interrupt.pause, parallel=PARALLEL)
        bar(description="settling")
        gained, problem = _wait(
            watch,
            0 if summary.failed else summary.sent,
            began + args.timeout,
            interrupt,
            lambda ended: bar(completed=ended),
        )
        summary.interrupted |= interrupt.came
    _show(args, summary, gained, time.monotonic() - began)
    if problem:
        raise OperationError(
            f"{problem}; until then {_settled(gained)} of {summary.sent} events were settled and"
            f" {gained.dead_lettered()} dead-lettered, with {gained.retries()} retries"
        )
    return summary.exit_code()


class Watch:
    """The gain of running workers' metrics since the watch began.

    Raises OperationError, as `gained` does, when a worker does not answer as one.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        try:
            self._before = {url: _scrape(url) for url in urls}
        except OperationError as error:
            raise OperationError(f"{error}; start a worker, or name it by --metrics-url") from error

    def gained(self) -> Metrics:
        """The gain of all workers' counters and histograms; gauges mean nothing in it."""
        total = Metrics()
        for url, before in self._before.items():
            now = _scrape(url)
            if abs(now.value(_START) - before.value(_START)) > _SAME_START:
                raise OperationError(f"the worker at {url} was started anew: its counters are lost")
            total += now - before
        return total


def _scrape(url: str) -> Metrics:
    answer = worker_http.get(url)
    try:
        metrics = Metrics(answer.body.decode())
    except ValueError:
        metrics = Metrics()
    if answer.status != 200 or not metrics.has("worker_events_total"):
        raise OperationError(f"{url} answers {answer.status}, but not with a worker's metrics")
    return metrics


def _wait(
    watch: Watch,
    events: int,
    deadline: float,
    interrupt: Interrupt,
    show: Callable[[int], None],
) -> tuple[Metrics, str]:
    """The workers' gain when `events` have ended, ctrl-C came or it failed, and the problem."""
    gained = Metrics()
    try:
        while True:
            gained = watch.gained()
            show(gained.settled())
            if gained.settled() >= events or interrupt.pause(_GLANCE):
                return gained, ""
            if time.monotonic() > deadline:
                return gained, "time is up (--timeout); the workers' logs and /ready may say why"
    except OperationError as error:
        return gained, str(error)


def _settled(gained: Metrics) -> int:
    return gained.settled() - gained.dead_lettered()


def _show(args: argparse.Namespace, summary: Summary, gained: Metrics, took: float) -> None:
    ended, dead, settled = gained.settled(), gained.dead_lettered(), _settled(gained)
    if args.json:
        figures = {
            "events": summary.total,
            "sent": summary.sent,
            "settled": settled,
            "dead_lettered": dead,
            "seconds": round(took, 2),
            "events_per_second": round(ended / took, 1),
            "publishing_seconds": round(summary.seconds, 2),
            "outcomes": gained.outcomes(),
            "latency_ms": gained.latencies_ms(),
            "retries": gained.retries(),
            "interrupted": summary.interrupted,
        }
        print(json.dumps(figures))
        return
    terminal.stdout().print(outcomes(gained))
    letters = f" and {dead} dead-lettered" if dead else ""
    print(f"{summary}; {settled} settled{letters} in {took:.1f} s, {ended / took:.0f}/s")
    if ended > summary.sent:
        print(f"{ended - summary.sent} of them were others' events: the queue is not quiet")


def _seed(url: str, made: Sequence[Sample]) -> None:
    """Make the reservations. Raises OperationError."""
    for start in range(0, len(made), _SEEDS):
        rows = [sample.record.as_dict() for sample in made[start : start + _SEEDS]]
        answer = worker_http.post_json(f"{url}/reservations", {"reservations": rows})
        if answer.status != 200:
            text = answer.body[:200].decode(errors="replace").strip()
            raise OperationError(
                f"{url} made no reservations, it answers {answer.status}: {text!r}"
            )
