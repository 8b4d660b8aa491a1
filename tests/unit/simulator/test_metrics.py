"""A worker's /metrics, read as Prometheus reads them."""

import pytest

from reservation_worker.simulator.metrics import Metrics


def test_quantiles_are_interpolated_as_prometheus_does() -> None:
    counts = {"0.1": 10, "0.2": 10, "0.5": 20, "+Inf": 20}
    lines = ["# TYPE t histogram", *(f't_bucket{{le="{le}"}} {n}' for le, n in counts.items())]
    metrics = Metrics("\n".join([*lines, "t_count 20", "t_sum 4", ""]))
    assert metrics.quantile(0.25, "t") == pytest.approx(0.05)
    assert metrics.quantile(0.75, "t") == pytest.approx(0.35)
    assert metrics.quantile(0.5, "other") is None


def test_counters_are_summed_by_the_labels_that_are_asked_for() -> None:
    lines = [f'e_total{{type="{kind}",outcome="ok"}} {n}' for kind, n in (("a", 2), ("b", 3))]
    metrics = Metrics(
        "\n".join(["# TYPE e counter", *lines, 'e_total{type="c",outcome="no"} 0', ""])
    )
    assert metrics.value("e_total", outcome="ok") == 5
    assert metrics.by("e_total", "type") == {("a",): 2, ("b",): 3}
    assert metrics.value("nothing") == 0


def test_the_difference_of_two_scrapes_counts_the_events_in_between() -> None:
    def scrape(fast: int, slow: int) -> Metrics:
        total = fast + slow
        return Metrics(
            "# TYPE worker_events counter\n"
            f'worker_events_total{{type="expired",outcome="success"}} {total}\n'
            "# TYPE worker_latency_seconds histogram\n"
            f'worker_latency_seconds_bucket{{type="expired",le="0.1"}} {fast}\n'
            f'worker_latency_seconds_bucket{{type="expired",le="1"}} {total}\n'
            f'worker_latency_seconds_bucket{{type="expired",le="+Inf"}} {total}\n'
            f'worker_latency_seconds_count{{type="expired"}} {total}\n'
        )

    gained = scrape(1000, 10) - scrape(1000, 0)
    assert gained.settled() == 10
    assert gained.outcomes() == {"expired": {"success": 10}}
    assert gained.quantiles_ms()["p50"] == pytest.approx(550)
    assert (gained + gained).settled() == 20
    assert (scrape(1, 0) - scrape(1, 0)).quantiles_ms() == {"p50": None, "p95": None, "p99": None}
