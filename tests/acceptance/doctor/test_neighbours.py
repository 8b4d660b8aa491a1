"""The neighbours, the collector and this machine."""

from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    add_TraceServiceServicer_to_server,
)

from reservation_worker.cli.doctor import inventory, reservation_api
from reservation_worker.simulator.processes.ports import free_port
from tests.acceptance.doctor.processes import Doctor, Report, serving, started
from tests.integration.test_tracing_export import Collector
from tests.world import World


def test_traces_without_a_collector_are_reported(doctor: Doctor):
    row = doctor().of("traces")
    assert row["status"] == "warning"
    assert "no span is exported" in row["detail"]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in row["advice"]


def test_an_unreachable_collector_is_reported(doctor: Doctor):
    port = free_port()
    found = doctor(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    row = found.only("failure")
    assert row["check"] == "traces"
    assert f"no TCP connection to 127.0.0.1:{port}" in row["detail"]


def test_a_collector_that_accepts_spans_is_fine(doctor: Doctor):
    collector = Collector()
    with serving(lambda server: add_TraceServiceServicer_to_server(collector, server)) as address:
        assert doctor(OTEL_EXPORTER_OTLP_ENDPOINT=address).of("traces")["status"] == "ok"
    [request] = collector.requests
    assert not request.resource_spans


def test_a_collector_that_accepts_no_traces_is_reported(
    environ: dict[str, str], world: World, tmp_path: Path
):
    # It is gRPC, but no collector. In a process of its own: the SDK says a thing once a minute.
    with started(
        environ, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=world.neighbours.inventory_address
    ) as process:
        out, err = process.communicate(timeout=30)
    assert err == ""
    row = Report(process.returncode, out).only("failure")
    assert row["check"] == "traces"
    assert "UNIMPLEMENTED" in row["detail"]
    assert "4317" in row["advice"]


@pytest.mark.parametrize(
    ("health", "tls", "status", "words"),
    [
        (health_pb2.HealthCheckResponse.SERVING, False, "ok", "is SERVING"),
        (health_pb2.HealthCheckResponse.NOT_SERVING, False, "failure", "answers NOT_SERVING"),
        (health_pb2.HealthCheckResponse.SERVING, True, "failure", "UNAVAILABLE"),
    ],
)
def test_inventory_is_checked_by_its_health_service_and_by_tls(
    health: Any, tls: bool, status: str, words: str
):
    servicer = HealthServicer()
    servicer.set("", health)
    with serving(lambda server: add_HealthServicer_to_server(servicer, server)) as address:
        known = {"inventory_grpc_addr": address, "inventory_grpc_tls": tls, "call_timeout": 5.0}
        [row] = inventory.inventory(known)
    assert row.status == status
    assert words in row.detail


def test_neighbours_whose_addresses_are_swapped_are_recognised(doctor: Doctor, world: World):
    rest = world.neighbours.reservation_base.removeprefix("http://")
    grpc_address = world.neighbours.inventory_address
    found = doctor(INVENTORY_GRPC_ADDR=rest, RESERVATION_API_BASE=f"http://{grpc_address}")
    for check, words in (
        ("inventory-svc", f"{rest} is reservation-api"),
        ("reservation-api", f"{grpc_address} speaks gRPC"),
    ):
        row = found.of(check)
        assert row["status"] == "failure"
        assert words in row["detail"]
        assert row["advice"] == "are INVENTORY_GRPC_ADDR and RESERVATION_API_BASE swapped?"


def test_a_plain_http_port_behind_inventorys_address_is_recognised(doctor: Doctor, world: World):
    # By HTTP/1.1 alone, and by HTTP/2 as well, where gRPC makes a code of the HTTP status.
    for base in (world.neighbours.control_base, world.sqs.url):
        row = doctor(INVENTORY_GRPC_ADDR=base.removeprefix("http://")).of("inventory-svc")
        assert row["status"] == "failure"
        assert "speaks plain HTTP, not gRPC" in row["detail"]
        assert "gRPC port" in row["advice"]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"status": 200, "body": "<html>"}, "failure"),
        ({"status": 404, "body": "<html>"}, "failure"),
        ({"status": 401, "body": {}}, "failure"),
        ({"status": 403, "body": {}}, "failure"),
        ({"status": 302, "headers": {"Location": "/login"}, "body": ""}, "failure"),
        ({"status": 503, "body": {}}, "failure"),
        ({"reset": True}, "failure"),
        ({"status": 404, "body": {"error": "Not Found"}}, "warning"),
        ({"status": 429, "body": {}}, "warning"),
        ({"status": 200, "body": {"status": "HOLD"}}, "ok"),
    ],
)
def test_reservation_api_is_recognised_by_its_answer(
    world: World, answer: dict[str, Any], status: str
):
    world.neighbours.answer("reservation", answer)
    known = {"reservation_api_base": world.neighbours.reservation_base, "call_timeout": 5.0}
    [row] = reservation_api.reservation_api(known)
    assert row.status == status
    assert bool(row.advice) == (status != "ok")


def test_a_neighbours_answer_cannot_move_the_cursor(doctor: Doctor, world: World):
    world.neighbours.answer("reservation", {"status": 500, "body": "\x1b[2J\x9b2J"})
    assert doctor().of("reservation-api")["detail"].isprintable()


def test_a_port_that_another_process_has_is_a_failure(doctor: Doctor, silent: int):
    found = doctor(SERVER_PORT=str(silent))
    row = found.only("failure")
    assert row["check"] == "SERVER_PORT"
    assert f"{silent} is in use by another process" in row["detail"]


def test_a_port_that_a_worker_has_is_a_warning_that_names_both_ports(doctor: Doctor, world: World):
    worker = world.run_worker("beside")
    found = doctor(SERVER_PORT=worker.env["SERVER_PORT"])
    assert found.of("SERVER_PORT")["status"] == "warning"
    assert "in use by a worker" in found.of("SERVER_PORT")["detail"]
    assert "SERVER_PORT and GRPC_DEBUG_PORT" in found.of("SERVER_PORT")["advice"]
    worker.stop()


def test_an_address_of_another_machine_to_listen_on_is_reported(doctor: Doctor):
    row = doctor(GRPC_DEBUG_HOST="192.0.2.1").of("GRPC_DEBUG_PORT")
    assert row["status"] == "failure"
    assert "GRPC_DEBUG_HOST" in row["advice"]
