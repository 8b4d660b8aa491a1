"""Stand-ins for the exporters of KEDA, CloudWatch and Kubernetes, with their scrape jobs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, start_http_server

QUEUE = "traffic-tacos-reservation-events"
# The metrics of other exporters, by exporter; the labels are those that each of them sets itself.
OTHERS: dict[str, dict[str, list[dict[str, str]]]] = {
    "keda-operator": {
        "keda_scaler_metrics_value": [
            {
                "namespace": "traffic-tacos",
                "metric": f"s0-aws-sqs-{QUEUE}",
                "scaledObject": "reservation-worker-scaler",
                "scaler": "awsSqsQueueScaler",
                "triggerIndex": "0",
                "type": "scaledobject",
            }
        ]
    },
    "cloudwatch-exporter": {
        "aws_sqs_approximate_number_of_messages_visible_maximum": [
            {"job": "aws_sqs", "instance": "", "queue_name": QUEUE},
            {"job": "aws_sqs", "instance": "", "queue_name": f"{QUEUE}-dlq"},
        ],
        "aws_sqs_approximate_age_of_oldest_message_maximum": [
            {"job": "aws_sqs", "instance": "", "queue_name": QUEUE}
        ],
    },
    "kube-state-metrics": {
        "kube_pod_deletion_timestamp": [
            {"namespace": "traffic-tacos", "pod": "reservation-worker-1", "uid": "u"}
        ]
    },
}


@contextmanager
def exporters() -> Iterator[list[dict[str, Any]]]:
    """The scrape jobs of the other exporters, without honorLabels as their charts have them.

    kube-state-metrics is scraped with honorLabels too, as kube-prometheus-stack does.
    """
    jobs, servers = [], []
    for exporter, metrics in OTHERS.items():
        registry = CollectorRegistry()
        for name, series in metrics.items():
            gauge = Gauge(name, "Not ours.", list(series[0]), registry=registry)
            for labels in series:
                # Read as a time it is an hour away, so DrainTooSlow does not fire.
                gauge.labels(**labels).set(time.time() + 3_600)
        server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
        servers.append((server, thread))
        jobs.append(job(exporter, server.server_port, namespace="elsewhere"))
    jobs.append({**jobs[-1], "job_name": "kube-prometheus-stack", "honor_labels": True})
    try:
        yield jobs
    finally:
        for server, thread in servers:
            server.shutdown()
            server.server_close()
            thread.join()


def job(name: str, port: int, namespace: str) -> dict[str, Any]:
    """A scrape job with the labels that the Prometheus operator makes of a ServiceMonitor."""
    target = {"container": name, "endpoint": "http", "pod": f"{name}-0", "service": name}
    labels = {"namespace": namespace, **target}
    return {
        "job_name": name,
        "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": labels}],
    }
