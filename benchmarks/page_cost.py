"""What the status page costs: CPU per event while it is open against closed, as a ratio.

Usage: python benchmarks/page_cost.py [--events 3000] [--rounds 4] [--viewers 0 1 20]

One worker; each round settles a backlog of so many events for each number of viewers, in another
order each time, so that what else the machine does falls on all of them. A viewer asks for the
status each 5 s, as the page does. The CPU time is the worker's own, by the system's account.
"""

import argparse
import itertools
import json
import statistics
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import urllib3
from throughput import CONCURRENCY, expiry

from reservation_worker.simulator.child import poll_until
from reservation_worker.simulator.process_worker import WorkerProcess
from reservation_worker.simulator.reservations import Record
from reservation_worker.simulator.stack import Stack

PERIOD = 5.0


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--latency-ms", type=float, default=40)
    parser.add_argument("--viewers", type=int, nargs="+", default=[0, 1, 20])
    args = parser.parse_args()
    costs: dict[int, list[float]] = {count: [] for count in args.viewers}
    numbers = itertools.count()
    with Stack(latency_ms=args.latency_ms) as stack:
        worker = stack.worker({"WORKER_CONCURRENCY": str(CONCURRENCY)}).start()
        worker.ready()
        run(stack, worker, args.events, next(numbers))  # warm, and not counted
        for number in range(args.rounds):
            turn = number % len(args.viewers)
            for count in args.viewers[turn:] + args.viewers[:turn]:
                with watching(worker.base, count):
                    costs[count].append(run(stack, worker, args.events, next(numbers)))
    means = {count: statistics.mean(found) for count, found in costs.items()}
    base = means[args.viewers[0]]
    figures = {
        f"{count} viewers": {
            "cpu_ms_per_event": round(means[count], 3),
            "runs": [round(cost, 3) for cost in found],
            "ratio": round(means[count] / base, 3),
        }
        for count, found in costs.items()
    }
    print(json.dumps(figures, indent=2))


def run(stack: Stack, worker: WorkerProcess, events: int, number: int) -> float:
    """CPU time per event, in ms, of a backlog that is there before the first is taken."""
    ids = [f"rsv_{number}_{one}" for one in range(events)]
    stack.neighbours.seed(Record(rid, "show", (f"S-{rid}",)) for rid in ids)
    worker.suspend()
    stack.publish(expiry(rid) for rid in ids)
    worker.resume()
    before = worker.metrics()
    start = before.value("worker_events_total", outcome="success")

    def done() -> bool:
        return worker.metrics().value("worker_events_total", outcome="success") >= number_due

    # What was settled between the resume and the first look is not counted either.
    number_due = float((number + 1) * events)
    if not poll_until(done, 600, pause=0.5):
        raise SystemExit("not done after 600 s")
    after = worker.metrics()
    cpu = after.value("process_cpu_seconds_total") - before.value("process_cpu_seconds_total")
    return cpu * 1000 / (number_due - start)


@contextmanager
def watching(base: str, count: int) -> Iterator[None]:
    """So many viewers, each asking at its own time."""
    stop = threading.Event()

    def view(place: int) -> None:
        pause = PERIOD * place / count
        with urllib3.PoolManager() as pool:
            while not stop.wait(pause):
                answer = pool.request("GET", f"{base}/api/v1/status", timeout=10)
                if answer.status != 200:
                    raise SystemExit(f"the status answered {answer.status}")
                pause = PERIOD

    with ThreadPoolExecutor(max(1, count)) as pool:
        viewers = [pool.submit(view, place) for place in range(count)]
        try:
            yield
        finally:
            stop.set()
        for viewer in viewers:
            viewer.result()


if __name__ == "__main__":
    main()
