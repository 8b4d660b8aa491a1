"""The history in columns and sums, for the charts and the figures beside them."""

import math

import pytest

from reservation_worker.observability.metrics import OUTCOMES
from reservation_worker.status.history import Point
from reservation_worker.status.series import columns, quantile, window

INF = math.inf
NONE = {0.1: 0, 0.2: 0, INF: 0}


def point(
    at: float,
    latency: dict[float, int] | None = None,
    age: float | None = None,
    seconds: float = 5.0,
    **settled: int,
) -> Point:
    counts = dict.fromkeys(OUTCOMES, 0) | settled
    return Point(at, seconds, counts, latency or NONE, in_flight=2, busy=1, oldest_age=age)


@pytest.mark.parametrize(
    ("q", "buckets", "expected"),
    [
        (0.5, NONE, None),
        (0.5, {}, None),
        (0.5, {0.1: 10, 0.2: 10, INF: 10}, 0.05),
        (0.95, {0.1: 90, 0.2: 100, INF: 100}, 0.15),
        (1.0, {0.1: 0, 0.2: 1, INF: 1}, 0.2),
        (0.5, {0.1: 0, 0.2: 0, INF: 4}, 0.2),  # beyond the last bound nothing is known
        (0.0, {0.1: 0, 0.2: 3, INF: 3}, 0.1),
    ],
)
def test_a_quantile_is_linear_inside_its_bucket(
    q: float, buckets: dict[float, float], expected: float | None
) -> None:
    assert quantile(q, buckets) == pytest.approx(expected)


def test_all_columns_are_as_long_as_the_history() -> None:
    assert {len(values) for values in columns([]).values()} == {0}
    assert {len(values) for values in columns([point(5.0), point(10.0)]).values()} == {2}


def test_neither_a_retried_nor_a_dead_lettered_delivery_is_settled() -> None:
    shown = columns([point(5.0, success=4, dropped=1, retried=8, failed=2, invalid_payload=3)])
    assert (shown["settled"], shown["retried"], shown["dead_lettered"]) == ([5], [8], [5])


def test_each_interval_has_its_own_percentiles_and_none_where_nothing_was_settled() -> None:
    latency = {0.1: 10, 0.2: 10, INF: 10}
    shown = columns([point(5.0, latency, success=1, failed=9), point(10.0, latency, failed=10)])
    assert shown["latency_p50_ms"] == [50.0, None]
    assert shown["latency_p95_ms"] == [95.0, None]


def test_a_window_sums_only_what_is_inside_it() -> None:
    points = [
        point(30.0, {0.1: 0, 0.2: 100, INF: 100}, age=900.0, success=100),
        point(95.0, {0.1: 10, 0.2: 10, INF: 10}, age=3.0, success=8, failed=2),
        point(100.0, {0.1: 10, 0.2: 10, INF: 10}, success=20, retried=1),
    ]
    shown = window(points, now=101.0, seconds=60.0)
    assert shown == {
        "seconds": 10.0,
        "settled": 28,
        "dead_lettered": 2,
        "retried": 1,
        "settled_per_second": 2.8,
        "latency_p50_ms": 50.0,
        "latency_p95_ms": 95.0,
        "latency_p99_ms": 99.0,
        "oldest_age_seconds": 3.0,
    }


def test_an_empty_window_has_no_rate_and_no_latency() -> None:
    shown = window([], now=1.0, seconds=60.0)
    assert (shown["settled"], shown["settled_per_second"], shown["latency_p95_ms"]) == (
        0, None, None,
    )  # fmt: skip


def test_a_window_without_a_settled_event_has_no_latency() -> None:
    shown = window([point(99.0, {0.1: 10, 0.2: 10, INF: 10}, retried=4, failed=6)], now=100.0)
    assert (shown["dead_lettered"], shown["retried"], shown["latency_p95_ms"]) == (6, 4, None)
