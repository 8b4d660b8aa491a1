"""One order of magnitude: events/s and CPU per event of one worker, neighbours at a fixed latency.

Usage: python benchmarks/throughput.py [--events 5000] [--latency-ms 40]

The worker is the real process with its production settings, no collector. The SQS server and both
neighbours run beside it on the same cores, so the rate is a lower bound; the CPU time is the
worker's own, by the operating system's account, between its first and its last event.
"""

import argparse
import json
import time

from reservation_worker.simulator.child import poll_until
from reservation_worker.simulator.reservations import Record
from reservation_worker.simulator.scenario import Message
from reservation_worker.simulator.stack import Stack

CONCURRENCY = 20


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--latency-ms", type=float, default=40)
    args = parser.parse_args()
    ids = [f"rsv_{number}" for number in range(args.events)]
    with Stack(latency_ms=args.latency_ms) as stack:
        stack.neighbours.seed(Record(rid, "show", (f"S-{rid}",)) for rid in ids)
        worker = stack.worker({"WORKER_CONCURRENCY": str(CONCURRENCY)}).start()
        worker.ready()
        before = worker.metrics()
        # The backlog is complete before the first event is taken.
        worker.suspend()
        stack.publish(expiry(rid) for rid in ids)
        worker.resume()
        began = time.monotonic()

        def done() -> bool:
            settled = worker.metrics().value("worker_events_total", outcome="success")
            return settled >= float(args.events)

        if not poll_until(done, 600, pause=0.2):
            raise SystemExit("not done after 600 s")
        seconds = time.monotonic() - began
        after = worker.metrics()
    cpu = after.value("process_cpu_seconds_total") - before.value("process_cpu_seconds_total")
    rate = args.events / seconds
    figures = {
        "events_per_second": round(rate),
        "cpu_ms_per_event": round(cpu / args.events * 1000, 2),
        "rss_mb": round(after.value("process_resident_memory_bytes") / 1e6),
        "receives_per_event": round(after.value("sqs_receives_total") / args.events, 3),
    }
    if args.latency_ms:
        ceiling = CONCURRENCY / (2 * args.latency_ms / 1000)
        figures["percent_of_ceiling"] = round(100 * rate / ceiling)
    print(json.dumps(figures))


def expiry(rid: str) -> Message:
    """A `reservation.expired` for a reservation of one seat."""
    detail = {"reservation_id": rid, "event_id": "show", "qty": 1, "seat_ids": [f"S-{rid}"]}
    body = json.dumps({"type": "reservation.expired", "detail": detail})
    return Message(body, "expired", "expired", "canonical")


if __name__ == "__main__":
    main()
