"""Runs a fleet under KEDA and the HPA over a list of arrivals; the same seed, the same run."""

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from benchmarks.capacity.figures import Pod
from benchmarks.capacity.fleet import IN_FLIGHT_LIMIT, Fleet, Retries
from benchmarks.capacity.sale import TICK
from benchmarks.capacity.scaler import SYNC, Hpa, Keda, Scaling

JITTER = 0.3
"""A start takes up to this part more or less."""


@dataclass
class SimulationResult:
    """The record of a run. `points` are (second, waiting, in flight, pods, ready), one a second."""

    points: list[tuple[float, int, int, int, int]] = field(default_factory=list)
    delays: list[tuple[float, float, int]] = field(default_factory=list)
    settled: int = 0
    settled_at: float = 0.0
    pod_seconds: float = 0.0
    idle_pod_seconds: float = 0.0
    limit_hit_at: float | None = None
    seconds: float = 0.0

    def delay(self, share: float, since: float = 0.0, until: float = float("inf")) -> float:
        """The quantile `share` of the delays, in seconds, of events settled in [since, until)."""
        chosen = sorted((delay, n) for at, delay, n in self.delays if since <= at < until)
        due = share * sum(n for _, n in chosen)
        for delay, n in chosen:
            due -= n
            if due <= 0:
                return delay
        return 0.0

    @property
    def most_waiting(self) -> int:
        """The longest backlog."""
        return max(point[1] for point in self.points)

    @property
    def most_in_flight(self) -> int:
        """The most messages in flight at a time."""
        return max(point[2] for point in self.points)

    @property
    def most_pods(self) -> int:
        """The most pods at a time."""
        return max(point[3] for point in self.points)


def simulate(
    arrivals: list[int],
    scaling: Scaling,
    pod: Pod,
    schedule: float,
    seed: int,
    retries: Retries | None = None,
    time_limit: float = 7200.0,
    on_tick: Callable[[float, Fleet], None] | None = None,
) -> SimulationResult:
    """From no pods until all is settled and KEDA's least is left, or for `time_limit` seconds.

    `schedule` is the time in seconds from a pod's creation to its process; `on_tick` is called at
    the end of each tick.
    """
    rng = random.Random(seed)  # noqa: S311 -- runs must be reproducible
    fleet, keda, hpa, run = Fleet(pod, retries), Keda(scaling), Hpa(scaling), SimulationResult()
    # Events of the same time happen in this order; KEDA and the HPA start at a random phase.
    timers = [
        (0.0, 0, "tick"),
        (rng.uniform(0, scaling.polling), 1, "poll"),
        (rng.uniform(0, SYNC), 2, "sync"),
    ]
    periods = {"tick": TICK, "poll": scaling.polling, "sync": SYNC}
    heapq.heapify(timers)
    total, ticks = sum(arrivals), itertools.count()

    def starts(now: float) -> Iterator[float]:
        while True:
            yield now + (schedule + pod.start) * rng.uniform(1 - JITTER, 1 + JITTER)

    while True:
        now, order, what = timers[0]
        if now > time_limit or (fleet.settled == total and fleet.pods == scaling.least):
            break
        if what == "tick":
            number = next(ticks)
            heapq.heapreplace(timers, ((number + 1) * TICK, order, what))
            fleet.step(now, arrivals[number] if number < len(arrivals) else 0)
            _record(run, fleet, number, now)
            if on_tick:
                on_tick(now, fleet)
            continue
        heapq.heapreplace(timers, (now + periods[what], order, what))
        depth = scaling.depth(fleet.waiting, fleet.in_flight)
        decide = keda.poll if what == "poll" else hpa.sync
        fleet.scale(decide(now, depth, fleet.pods), starts(now))
    run.delays, run.settled, run.seconds = fleet.delays, fleet.settled, now
    run.settled_at = fleet.delays[-1][0] if fleet.delays else 0.0
    return run


def _record(run: SimulationResult, fleet: Fleet, number: int, now: float) -> None:
    run.pod_seconds += fleet.pods * TICK
    if not fleet.in_work:
        run.idle_pod_seconds += fleet.ready * TICK
    if run.limit_hit_at is None and fleet.in_flight >= IN_FLIGHT_LIMIT:
        run.limit_hit_at = now
    if number % round(1 / TICK) == 0:
        run.points.append((now, fleet.waiting, fleet.in_flight, fleet.pods, fleet.ready))
