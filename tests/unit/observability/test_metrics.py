"""The metrics that dashboards and alerts read: names, labels, and values from the start."""

import itertools

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from reservation_worker import __version__
from reservation_worker.events.kinds import BY_LABEL
from reservation_worker.observability.metrics import Metrics

KINDS = [*BY_LABEL, "unknown"]

# docs/contract.md#metrics: the name as it is scraped, and its labels.
NAMES = {
    "worker_events_total": {"type", "outcome"},
    "worker_processing_duration_seconds": {"handler", "outcome"},
    "worker_latency_seconds": {"type"},
    "sqs_poll_errors_total": set(),
    "worker_active_goroutines": set(),
}
# docs/contract.md#metrics and #dead-letters: every value that a label may have.
VALUES = {
    "worker_events_total": {
        "type": KINDS,
        "outcome": ["success", "dropped", "retried", "failed", "invalid_payload"],
    },
    "worker_latency_seconds_count": {"type": KINDS},
    # Only events have a handler; a dropped or invalid message never reaches one.
    "worker_processing_duration_seconds_count": {
        "handler": [*BY_LABEL],
        "outcome": ["success", "retried", "failed", "downstream_error"],
    },
    "worker_dead_lettered_total": {
        "reason": [
            "invalid_payload",
            "permanent_error",
            "retries_exhausted",
            "compensation_required",
        ]
    },
    "worker_retries_total": {"reason": ["neighbour", "breaker", "lease", "bug"]},
    "sqs_receives_total": {"result": ["messages", "empty"]},
}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def scraped(metrics: Metrics) -> dict[str, list[dict[str, str]]]:
    """The labels of every time series by its name."""
    found: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(generate_latest(metrics.registry).decode()):
        for one in family.samples:
            found.setdefault(one.name, []).append(one.labels)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_that_others_read_has_its_name_and_labels(metrics: Metrics, name: str) -> None:
    series = scraped(metrics)
    labels = series.get(name) or series[f"{name}_count"]
    assert all(set(one) == NAMES[name] for one in labels)


@pytest.mark.parametrize("name", VALUES)
def test_every_series_is_there_before_its_first_event_and_no_other(
    metrics: Metrics, name: str
) -> None:
    labels = list(VALUES[name])
    found = [tuple(one[label] for label in labels) for one in scraped(metrics)[name]]
    assert sorted(found) == sorted(itertools.product(*VALUES[name].values()))


def test_every_counter_without_labels_starts_at_zero(metrics: Metrics) -> None:
    assert metrics.registry.get_sample_value("sqs_poll_errors_total") == 0
    assert metrics.registry.get_sample_value("worker_dead_letter_failures_total") == 0


def test_the_version_is_a_metric(metrics: Metrics) -> None:
    assert scraped(metrics)["worker_build_info"] == [{"version": __version__}]


def test_no_label_may_carry_an_id(metrics: Metrics) -> None:
    labels = {label for series in scraped(metrics).values() for one in series for label in one}
    assert labels <= {
        "type", "outcome", "handler", "reason", "result", "neighbour", "le", "version",
    }  # fmt: skip


def test_the_buckets_are_fine_around_the_promised_latencies(metrics: Metrics) -> None:
    bounds = {float(one["le"]) for one in scraped(metrics)["worker_latency_seconds_bucket"]}
    # P95 118 ms and P99 285 ms are promised; 200 ms, 500 ms and 1 s are common thresholds.
    assert {0.1, 0.12, 0.2, 0.285, 0.5, 1.0} <= bounds
    assert max(bounds - {float("inf")}) >= 40


def test_the_gauges_of_the_pool_are_read_when_they_are_scraped(metrics: Metrics) -> None:
    busy, in_flight = [3], [7]
    metrics.watch(lambda: busy[0], lambda: in_flight[0], slots=30)

    def read() -> list[float | None]:
        names = ("worker_active_goroutines", "worker_in_flight", "worker_free_slots")
        return [metrics.registry.get_sample_value(name) for name in names]

    assert read() == [3, 7, 23]
    busy[0], in_flight[0] = 0, 0
    assert read() == [0, 0, 30]


def test_two_workers_in_one_process_do_not_share_their_numbers() -> None:
    one, two = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    one.poll_errors.inc()
    assert two.registry.get_sample_value("sqs_poll_errors_total") == 0


def test_the_log_lines_that_were_dropped_are_read_when_they_are_scraped(metrics: Metrics) -> None:
    assert "worker_log_lines_dropped_total 0.0" in generate_latest(metrics.registry).decode()
    dropped = [3]
    metrics.count_dropped_log_lines(lambda: dropped[0])
    dropped[0] = 4
    assert "worker_log_lines_dropped_total 4.0" in generate_latest(metrics.registry).decode()
