"""The history as the status page shows it: columns for charts, sums over a window. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reservation_worker.observability.metrics import OUTCOMES
from reservation_worker.status.history import SPAN, Point

DEAD = ("failed", "invalid_payload")
"""The outcomes of dead-lettered events."""
SETTLED = tuple(name for name in OUTCOMES if name not in (*DEAD, "retried"))
"""The outcomes of settled events; a retried one comes back."""


def columns(points: Sequence[Point]) -> dict[str, list[Any]]:
    """One list for each figure, all of the same length, the oldest first.

    A latency is None where nothing was settled, an age where nothing was received.
    """
    return {
        "at": [round(point.at, 1) for point in points],
        "seconds": [round(point.seconds, 2) for point in points],
        "settled": [_sum(point, SETTLED) for point in points],
        "dead_lettered": [_sum(point, DEAD) for point in points],
        "retried": [point.outcomes["retried"] for point in points],
        "latency_p50_ms": [_latency(0.5, point) for point in points],
        "latency_p95_ms": [_latency(0.95, point) for point in points],
        "in_flight": [point.in_flight for point in points],
        "threads_busy": [point.busy for point in points],
        "oldest_age_seconds": [_rounded(point.oldest_age) for point in points],
    }


def window(points: Iterable[Point], now: float, seconds: float = SPAN) -> dict[str, Any]:
    """The sums and percentiles of the last `seconds` before `now`; None as in `columns`."""
    inside = [point for point in points if point.at > now - seconds]
    latency: dict[float, int] = {}
    for point in inside:
        for bound, count in point.latency.items():
            latency[bound] = latency.get(bound, 0) + count
    covered = sum(point.seconds for point in inside)
    settled = sum(_sum(point, SETTLED) for point in inside)
    ages = [point.oldest_age for point in inside if point.oldest_age is not None]
    return {
        "seconds": round(covered, 1),
        "settled": settled,
        "dead_lettered": sum(_sum(point, DEAD) for point in inside),
        "retried": sum(point.outcomes["retried"] for point in inside),
        "settled_per_second": round(settled / covered, 2) if covered else None,
        "latency_p50_ms": _ms(0.5, latency, settled),
        "latency_p95_ms": _ms(0.95, latency, settled),
        "latency_p99_ms": _ms(0.99, latency, settled),
        "oldest_age_seconds": _rounded(max(ages, default=None)),
    }


def _sum(point: Point, outcomes: Iterable[str]) -> int:
    return sum(point.outcomes[name] for name in outcomes)


def _latency(q: float, point: Point) -> float | None:
    return _ms(q, point.latency, _sum(point, SETTLED))


def _ms(q: float, latency: Mapping[float, int], settled: int) -> float | None:
    seconds = quantile(q, latency) if settled else None
    return None if seconds is None else round(seconds * 1000, 1)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def quantile(q: float, buckets: Mapping[float, float]) -> float | None:
    """As Prometheus' histogram_quantile(): linear inside a bucket; None without an observation.

    `buckets` has the cumulative count of each upper bound. Beyond the last finite bucket the result
    is that bucket's bound.
    """
    total = buckets.get(math.inf, 0.0)
    if not total:
        return None
    rank = q * total
    lower, below = 0.0, 0.0
    for bound in sorted(buckets):
        count = buckets[bound]
        if count >= rank:
            if math.isinf(bound):
                return lower
            inside = count - below
            return lower + (bound - lower) * ((rank - below) / inside if inside else 1.0)
        lower, below = bound, count
    return lower
