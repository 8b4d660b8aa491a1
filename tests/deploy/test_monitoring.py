"""A real worker under load, scraped by a real Prometheus: every query finds its data."""

import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from reservation_worker.events.kinds import BY_TYPE
from reservation_worker.simulator.metrics import Metrics
from reservation_worker.simulator.processes.ports import free_port
from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION
from reservation_worker.simulator.story.samples import TYPES
from reservation_worker.simulator.story.scenario import build
from tests.deploy import insights
from tests.deploy.exporters import OTHERS, exporters, job
from tests.deploy.prometheus import (
    ALERTS,
    ROOT,
    PrometheusProcess,
    dashboard_queries,
    selectors,
)
from tests.world import World, until

QUERIES = dashboard_queries()
SELECTORS = {
    selector: metric
    for rule in ALERTS.values()
    for selector, metric in selectors(rule["expr"]).items()
}
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
LOG_QUERIES = re.findall(r"^```text insights\n(.*?)^```", RUNBOOK, re.MULTILINE | re.DOTALL)
# The inline code that is PromQL.
RUNBOOK_QUERIES = [
    query
    for query in re.findall(r"(?<!`)`([^`]+)`(?!`)", RUNBOOK)
    if selectors(query) and "(" in query
]


@dataclass(frozen=True)
class Record:
    """Prometheus, the last metrics and the log of a worker that has ended."""

    prometheus: PrometheusProcess
    busy_at: float
    metrics: Metrics
    firing: set[str]
    lines: list[dict[str, Any]]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    """A worker settles every kind of event, with a compensation, then takes time to stop."""
    story, port = build(300, seed=5), free_port()
    with World() as world, exporters() as others:
        worker = world.worker(
            {
                "SERVER_PORT": str(port),
                "SQS_WAIT_TIME": "1",
                "SHUTDOWN_TIMEOUT": "12",
                "NOTIFICATION_TOPIC_ARN": topic(world),
            }
        )
        jobs = [job("reservation-worker", port, namespace="traffic-tacos"), *others]
        with PrometheusProcess(jobs, tmp_path_factory.mktemp("prometheus")) as prometheus:
            # Prometheus scrapes from 5 s after its start on, so the worker starts meanwhile.
            worker.start()
            world.neighbours.seed(story.seeds, story.pools)
            until(lambda: prometheus.values("sum(up)") == [len(jobs)], 60, "all are scraped")
            world.neighbours.answer("inventory", {"code": "UNAVAILABLE"}, count=3)
            for phase in (0, 1):
                world.publish(story.phase(phase))
                until(world.empty, 60, "everything is settled")
            until(
                lambda: (
                    prometheus.values("sum(worker_events_total)")
                    == [worker.metrics().value("worker_events_total")]
                ),
                10,
                "the last scrape has it all",
            )
            until(lambda: bool(firing(prometheus)), 10, "an alert fires")
            busy_at, metrics, fired = time.time(), worker.metrics(), firing(prometheus)

            (stuck,) = world.seed(1, "stuck")
            world.neighbours.hang("inventory", [stuck])
            world.expire([stuck])
            until(lambda: worker.metrics().value("worker_in_flight") == 1, 10, "a call hangs")
            worker.signal(signal.SIGTERM)
            until(lambda: bool(drained(prometheus)), 10, "a scrape has met the stop")
            world.neighbours.clear()
            assert worker.wait(15) == 0
            yield Record(prometheus, busy_at, metrics, fired, worker.log_lines())


def topic(world: World) -> str:
    """The ARN of a new SNS topic."""
    keys: dict[str, Any] = {name.lower(): text for name, text in CREDENTIALS.items()}
    sns = boto3.client("sns", endpoint_url=world.sqs.url, region_name=REGION, **keys)
    return str(sns.create_topic(Name="customers")["TopicArn"])


def firing(prometheus: PrometheusProcess) -> set[str]:
    alerts = prometheus.get("alerts")["alerts"]
    return {one["labels"]["alertname"] for one in alerts if one["state"] == "firing"}


def drained(prometheus: PrometheusProcess) -> list[float]:
    return prometheus.values("max_over_time(worker_drain_seconds[1m]) > 0")


@pytest.mark.parametrize("panel", QUERIES)
def test_a_query_of_the_dashboard_returns_data_with_the_labels_of_its_legend(
    record: Record, panel: str
) -> None:
    found = record.prometheus.series(QUERIES[panel], record.busy_at)
    assert found, QUERIES[panel]
    assert all(set(re.findall(r"{{(\w+)}}", panel)) <= set(labels) for labels in found)


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_selector_of_an_alert_finds_series(record: Record, selector: str) -> None:
    assert record.prometheus.series(selector, record.busy_at)


@pytest.mark.parametrize("query", RUNBOOK_QUERIES)
def test_a_query_of_the_runbook_returns_data(record: Record, query: str) -> None:
    assert record.prometheus.series(query, record.busy_at)


def test_no_label_of_the_workers_metrics_collides_with_one_of_a_scrape(record: Record) -> None:
    found = record.prometheus.series('{job="reservation-worker"}', record.busy_at)
    assert found
    assert not [labels for labels in found if any(name.startswith("exported_") for name in labels)]


def test_every_metric_is_exported_by_the_worker_or_listed_as_another_exporters(
    record: Record,
) -> None:
    asked = {metric for query in QUERIES.values() for metric in selectors(query).values()}
    asked |= set(SELECTORS.values())
    ours = {
        metric
        for metric in asked
        if record.prometheus.series(f'{metric}{{job="reservation-worker"}}', record.busy_at)
    }
    assert asked - ours == {name for metrics in OTHERS.values() for name in metrics}


def test_prometheus_evaluates_every_alert_without_an_error(record: Record) -> None:
    groups = record.prometheus.get("rules")["groups"]
    rules = {rule["name"]: rule for group in groups for rule in group["rules"]}
    assert set(rules) == set(ALERTS)
    assert {rule["health"] for rule in rules.values()} == {"ok"}


def test_a_payment_without_a_seat_fires_its_alert_at_once_and_no_other(record: Record) -> None:
    assert record.firing == {"CompensationDue"}


def test_a_scrape_meets_a_stop_that_takes_time(record: Record) -> None:
    assert drained(record.prometheus)


def label_of(event_type: str) -> str:
    """The metrics' label of a canonical type; "unknown" has none."""
    return BY_TYPE[event_type].label if event_type in BY_TYPE else event_type


def test_the_log_query_of_failures_agrees_with_the_metrics(record: Record) -> None:
    rows = insights.run(LOG_QUERIES[0], record.lines)
    counted = {(label_of(row["event_type"]), row["outcome"]): row["count(*)"] for row in rows}
    expected = {
        key: value
        for key, value in record.metrics.by("worker_events_total", "type", "outcome").items()
        if key[1] not in ("success", "dropped")
    }
    assert {outcome for _, outcome in counted} == {"retried", "failed", "invalid_payload"}
    assert counted == expected


def test_the_log_query_of_durations_finds_a_p95_for_every_type(record: Record) -> None:
    rows = insights.run(LOG_QUERIES[1], record.lines)
    assert {row["event_type"] for row in rows} == set(TYPES)
    for row in rows:
        kind = label_of(row["event_type"])
        successes = [
            line["duration_ms"]
            for line in record.lines
            if line.get("outcome") == "success" and line["event_type"] == row["event_type"]
        ]
        counted = record.metrics.value("worker_events_total", type=kind, outcome="success")
        assert len(successes) >= counted > 0
        assert sum(one <= row["pct(duration_ms, 95)"] for one in successes) >= 0.95 * len(successes)
        assert all(isinstance(one, float) for one in successes)


def test_every_log_query_of_the_runbook_finds_lines(record: Record) -> None:
    assert len(LOG_QUERIES) > 2
    assert [query for query in LOG_QUERIES if not insights.run(query, record.lines)] == []
