"""The history as the status page shows it: columns for the charts, and sums over a while. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

from reservation_worker.observability.metrics import OUTCOMES
from reservation_worker.status.history import SPAN, Point
from reservation_worker.status.quantile import quantile

DONE = tuple(name for name in OUTCOMES if name != "retried")
"""The outcomes that end an event; a retried one comes back."""
DEAD = ("failed", "invalid_payload")


def columns(points: Sequence[Point]) -> dict[str, list[Any]]:
    """One list for each figure, all of the same length, the oldest first; null is: none was."""
    return {
        "at": [round(point.at, 1) for point in points],
        "seconds": [round(point.seconds, 2) for point in points],
        "settled": [_sum(point, DONE) for point in points],
        "dead_lettered": [_sum(point, DEAD) for point in points],
        "retried": [point.settled["retried"] for point in points],
        "latency_p50_ms": [_ms(quantile(0.5, point.latency)) for point in points],
        "latency_p95_ms": [_ms(quantile(0.95, point.latency)) for point in points],
        "in_flight": [point.in_flight for point in points],
        "threads_busy": [point.busy for point in points],
        "oldest_age_seconds": [_rounded(point.oldest_age) for point in points],
    }


def window(points: Iterable[Point], now: float, seconds: float = SPAN) -> dict[str, Any]:
    """Everything that ended in the last `seconds` before `now`, as one figure each."""
    inside = [point for point in points if point.at > now - seconds]
    latency: dict[float, float] = {}
    for point in inside:
        for bound, count in point.latency.items():
            latency[bound] = latency.get(bound, 0) + count
    covered = sum(point.seconds for point in inside)
    settled = sum(_sum(point, DONE) for point in inside)
    ages = [point.oldest_age for point in inside if point.oldest_age is not None]
    return {
        "seconds": round(covered, 1),
        "settled": settled,
        "dead_lettered": sum(_sum(point, DEAD) for point in inside),
        "retried": sum(point.settled["retried"] for point in inside),
        "settled_per_second": round(settled / covered, 2) if covered else None,
        "latency_p50_ms": _ms(quantile(0.5, latency)),
        "latency_p95_ms": _ms(quantile(0.95, latency)),
        "latency_p99_ms": _ms(quantile(0.99, latency)),
        "oldest_age_seconds": _rounded(max(ages, default=None)),
    }


def _sum(point: Point, outcomes: Iterable[str]) -> int:
    return sum(point.settled[name] for name in outcomes)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
