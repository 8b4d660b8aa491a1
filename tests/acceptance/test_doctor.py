"""`doctor` before a whole system, real servers all: it names what is wrong, and touches nothing."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    add_TraceServiceServicer_to_server,
)

from reservation_worker.cli import main as cli
from reservation_worker.cli.doctor import inventory, machine, reservation_api
from reservation_worker.simulator.processes.ports import free_port
from reservation_worker.simulator.processes.sqs_proxy import SqsProxyProcess
from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION
from reservation_worker.simulator.sqs.provision import create_rule
from tests.deploy import tools
from tests.integration.test_tracing_export import Collector
from tests.world import World

MIB = 1024 * 1024
WORKS = (
    "ReceiveMessage",
    "DeleteMessage",
    "ChangeMessageVisibility",
    "SendMessage",
)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as made:
        keys = {name.lower(): text for name, text in CREDENTIALS.items()}
        events = boto3.client("events", endpoint_url=made.sqs.url, region_name=REGION, **keys)
        create_rule(events, made.client, made.queue_url)
        yield made


@pytest.fixture(scope="module")
def proxy(world: World) -> Iterator[SqsProxyProcess]:
    with SqsProxyProcess(world.sqs.url) as made:
        yield made


class Report:
    """What doctor printed as JSON, and its exit code."""

    def __init__(self, code: int, text: str) -> None:
        self.code = code
        self.text = text
        self.rows: list[dict[str, str]] = json.loads(text)["checks"]

    def statuses(self, check: str) -> list[str]:
        return [row["status"] for row in self.rows if row["check"] == check]

    def only(self, status: str) -> dict[str, str]:
        """The only row of this status."""
        [row] = [row for row in self.rows if row["status"] == status]
        return row

    def of(self, check: str) -> dict[str, str]:
        """The only row of this check."""
        [row] = [row for row in self.rows if row["check"] == check]
        return row


Doctor = Callable[..., Report]


@pytest.fixture
def environ(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """A worker's that finds all it needs, but for a collector."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("AWS_", "OTEL_"))]:
        monkeypatch.delenv(name)
    return world.worker().env | {"SERVER_PORT": "0"}


@pytest.fixture
def doctor(
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Doctor:
    def ask(*args: str, **changes: str) -> Report:
        for name, text in (environ | changes).items():
            monkeypatch.setenv(name, text)
        code = cli.main(["doctor", "--json", *args])
        out, err = capsys.readouterr()
        assert err == ""
        return Report(code, out)

    return ask


def started(
    environ: dict[str, str], directory: Path, *args: str, **changes: str
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "reservation_worker", "doctor", "--json", *args],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
        | environ
        | changes,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def serving(add: Callable[[grpc.Server], object]) -> Iterator[str]:
    """A gRPC server on loopback; yields its address."""
    server = grpc.server(ThreadPoolExecutor(2))
    add(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait(10)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


# The good case, and what must hold in any.


def test_a_system_that_works_is_found_without_fault_and_exits_0(doctor: Doctor):
    found = doctor()
    assert found.code == 0
    assert found.only("warning")["check"] == "traces"
    assert {row["status"] for row in found.rows} == {"ok", "warning"}
    assert [row["check"] for row in found.rows] == [
        "configuration",
        "credentials",
        "identity",
        "queue",
        "dead-letter queue",
        *(f"sqs:{action}" for action in WORKS),
        "EventBridge",
        "EventBridge",
        "inventory-svc",
        "reservation-api",
        "traces",
        "SERVER_PORT",
        "GRPC_DEBUG_PORT",
        "memory",
    ]
    assert "static keys" in found.of("credentials")["detail"]
    assert found.of("identity")["detail"].startswith("arn:aws:")


def test_no_message_is_touched_in_either_queue(world: World, doctor: Doctor):
    world.expire(["rsv_untouched"])
    for url in (world.queue_url, world.dlq_url):
        before = world.counts(url)
        assert doctor().code == 0
        assert world.counts(url) == before
    [message] = world.client.receive_message(
        QueueUrl=world.queue_url, MessageSystemAttributeNames=["ApproximateReceiveCount"]
    )["Messages"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    world.client.delete_message(QueueUrl=world.queue_url, ReceiptHandle=message["ReceiptHandle"])
    assert world.counts(world.dlq_url) == (0, 0)


def test_a_wrong_variable_does_not_keep_the_other_checks_from_being_made(doctor: Doctor):
    wild = dict.fromkeys(("CALL_TIMEOUT", "MAX_RETRIES", "SQS_DLQ_URL", "SERVER_PORT"), "wild")
    found = doctor(WORKER_CONCURRENCY="many", **wild)
    assert found.code == 1
    assert found.statuses("configuration") == ["failure"] * 5
    assert found.of("GRPC_DEBUG_PORT")["status"] == found.of("sqs:SendMessage")["status"] == "ok"
    assert found.of("inventory-svc")["status"] == found.of("queue")["status"] == "ok"
    assert found.of("memory")["status"] == "unknown"
    assert "WORKER_CONCURRENCY" in found.of("memory")["advice"]


def test_no_secret_is_shown(doctor: Doctor, world: World):
    url = world.queue_url.replace("://", "://user:hunter2@")
    secret = "wJalrXUtnFEMI-canary"
    found = doctor(SQS_QUEUE_URL=url, AWS_SECRET_ACCESS_KEY=secret, SQS_DLQ_URL=url)
    assert found.code == 1
    assert "hunter2" not in found.text
    assert secret not in found.text


def test_nothing_of_the_secret_is_shown_as_config_shows_nothing_of_it(
    doctor: Doctor, environ: dict[str, str], world: World
):
    secret = {
        "sqs_queue_url": world.queue_url,
        "inventory_grpc_addr": "canary-inventory.invalid:8021",
        "reservation_api_base": "http://canary-api.invalid:8010",
    }
    keys = {name.lower(): text for name, text in CREDENTIALS.items()}
    boto3.client(
        "secretsmanager", endpoint_url=world.sqs.url, region_name=REGION, **keys
    ).create_secret(Name="doctors", SecretString=json.dumps(secret))
    for name in ("SQS_QUEUE_URL", "INVENTORY_GRPC_ADDR", "RESERVATION_API_BASE"):
        del environ[name]
    found = doctor(USE_SECRET_MANAGER="true", SECRET_NAME="doctors")
    assert "secret" in found.of("configuration")["detail"]
    assert found.of("queue")["status"] == "ok"
    assert found.of("inventory-svc")["detail"].startswith("failed to connect to ***:8021: DNS")
    for piece in ("canary", world.queue_url, "reservation-events"):
        assert piece not in found.text


def test_it_ends_in_time_when_everything_hangs(doctor: Doctor, silent: int):
    there = f"127.0.0.1:{silent}"
    began = time.monotonic()
    found = doctor(
        CALL_TIMEOUT="0.5",
        AWS_ENDPOINT_URL=f"http://{there}",
        INVENTORY_GRPC_ADDR=there,
        RESERVATION_API_BASE=f"http://{there}",
        OTEL_EXPORTER_OTLP_ENDPOINT=there,
    )
    assert time.monotonic() - began < 20
    assert found.code == 1
    for check in ("queue", "inventory-svc", "reservation-api", "traces"):
        assert found.of(check)["status"] == "failure", check


def test_an_interrupt_ends_it_at_once_with_130(
    environ: dict[str, str], silent: int, tmp_path: Path
):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        there = f"http://127.0.0.1:{listener.getsockname()[1]}"
        hanging = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent}", "RESERVATION_API_BASE": there}
        with started(environ, tmp_path, **hanging) as process:
            listener.settimeout(30)
            with closing(listener.accept()[0]):
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, "", "")


# The seed's five troubleshooting cases.


@pytest.mark.parametrize("action", WORKS)
def test_sqs_access_denied_names_the_action_to_allow(
    doctor: Doctor, proxy: SqsProxyProcess, action: str
):
    proxy.set_faults({"access_denied": {"rate": 1, "actions": [action]}})
    found = doctor(AWS_ENDPOINT_URL=proxy.url)
    assert found.code == 1
    row = found.only("failure")
    assert row["check"] == f"sqs:{action}"
    assert row["detail"].startswith("AccessDenied: ")
    for word in (f"allow sqs:{action} on reservation-events", "AWS_PROFILE", "IRSA"):
        assert word in row["advice"]


def test_attributes_that_may_not_be_read_leave_the_permissions_to_be_probed(
    doctor: Doctor, proxy: SqsProxyProcess
):
    proxy.set_faults({"access_denied": {"rate": 1, "actions": ["GetQueueAttributes"]}})
    found = doctor(AWS_ENDPOINT_URL=proxy.url)
    row = found.only("failure")
    assert row["check"] == "queue"
    assert "allow sqs:GetQueueAttributes" in row["advice"]
    assert found.of("dead-letter queue")["status"] == "unknown"
    assert found.of("sqs:SendMessage")["status"] == "unknown"
    assert found.of("sqs:ReceiveMessage")["status"] == "ok"


def test_a_grpc_connection_that_times_out_is_told_in_the_words_of_the_log(
    doctor: Doctor, silent: int
):
    found = doctor(INVENTORY_GRPC_ADDR=f"127.0.0.1:{silent}", CALL_TIMEOUT="0.5")
    assert found.code == 1
    row = found.only("failure")
    assert row["check"] == "inventory-svc"
    assert row["detail"].startswith(f"context deadline exceeded: 127.0.0.1:{silent} takes TCP")
    assert "INVENTORY_GRPC_TLS" in row["advice"]


@pytest.mark.parametrize(
    ("address", "words", "advice"),
    [
        ("127.0.0.1:{port}", "no TCP connection", "nc -vz 127.0.0.1 {port}"),
        ("inventory-svc.invalid:8021", "DNS does not know", "getent hosts inventory-svc.invalid"),
    ],
)
def test_a_grpc_server_that_cannot_be_connected_to_is_told_by_how_far_it_came(
    doctor: Doctor, address: str, words: str, advice: str
):
    port = free_port()
    address = address.format(port=port)
    row = doctor(INVENTORY_GRPC_ADDR=address).only("failure")
    assert row["check"] == "inventory-svc"
    assert row["detail"].startswith(f"failed to connect to {address}: {words}")
    assert advice.format(port=port) in row["advice"]


@pytest.mark.parametrize("file", ["memory.max", "memory/memory.limit_in_bytes"])
def test_a_memory_limit_too_small_for_the_threads_is_told_before_the_kernel_does(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str
):
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    path = tmp_path / "sys/fs/cgroup" / file
    path.parent.mkdir(parents=True)
    path.write_text(f"{128 * MIB}\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    group = "4:cpu,memory:/kubepods/pod1" if "/" in file else "0::/"
    (tmp_path / "proc/self/cgroup").write_text(f"{group}\n")
    found = doctor(WORKER_CONCURRENCY="100")
    assert found.code == 1
    row = found.only("failure")
    assert row["check"] == "memory"
    assert "the limit is 128 MiB; 100 threads need about 135" in row["detail"]
    assert "OOMKilled" in row["detail"]
    assert "lower WORKER_CONCURRENCY" in row["advice"]
    assert doctor(WORKER_CONCURRENCY="20").of("memory")["status"] == "warning"
    path.write_text(f"{256 * MIB}\n")
    assert doctor(WORKER_CONCURRENCY="20").of("memory")["status"] == "ok"


SCALED = """\
kind: ConfigMap
metadata: {{name: worker}}
data: {{WORKER_CONCURRENCY: "20"}}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: worker}}
spec:
  scaleTargetRef: {{name: worker}}
  maxReplicaCount: 50
  triggers:
    - type: aws-sqs-queue
      authenticationRef: {{name: aws}}
      metadata: {{queueURL: "{queue}", awsRegion: {region}, queueLength: "20"}}
"""


@pytest.mark.parametrize(
    ("queue", "region", "words"),
    [
        ("{ours}-old", "ap-northeast-2", "it does not look at our queue, so it does not scale"),
        ("{ours}", "us-east-1", "awsRegion is us-east-1, the worker's queue is in ap-northeast-2"),
    ],
)
def test_keda_that_looks_at_another_queue_is_told_with_both(
    doctor: Doctor, world: World, tmp_path: Path, queue: str, region: str, words: str
):
    file = tmp_path / "scaledobject.yaml"
    file.write_text(SCALED.format(queue=queue.format(ours=world.queue_url), region=region))
    found = doctor("--manifest", str(file))
    assert found.code == 1
    row = found.only("failure")
    assert row["check"] == "KEDA worker"
    assert words in row["detail"]
    file.write_text(SCALED.format(queue=world.queue_url, region="ap-northeast-2"))
    fine = doctor("--manifest", str(file))
    assert (fine.code, fine.statuses("KEDA worker")) == (0, ["ok", "ok"])


def test_productions_manifests_fit_as_the_runbook_pipes_them(
    environ: dict[str, str], tmp_path: Path
):
    manifests = tools.run("kubectl", "kustomize", str(tools.K8S / "deploy/production"))
    queue = f"https://sqs.{REGION}.amazonaws.com/137406935518/traffic-tacos-reservation-events"
    with started(environ, tmp_path, "--manifest", "-", SQS_QUEUE_URL=queue) as process:
        out, _ = process.communicate(manifests, timeout=60)
    found = Report(process.returncode, out)
    assert found.statuses("KEDA reservation-worker-scaler") == ["ok", "ok"]
    assert found.statuses("Deployment reservation-worker") == ["ok", "ok"]
    runbook = " ".join((tools.ROOT / "docs/runbook.md").read_text().split())
    assert "kubectl kustomize k8s/deploy/production | reservation-worker doctor --manifest -" in (
        runbook
    )


def test_traces_that_nobody_collects_are_told(doctor: Doctor):
    row = doctor().of("traces")
    assert row["status"] == "warning"
    assert "no span is exported" in row["detail"]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in row["advice"]


def test_a_collector_that_is_not_there_is_told(doctor: Doctor):
    port = free_port()
    found = doctor(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    row = found.only("failure")
    assert row["check"] == "traces"
    assert f"no TCP connection to 127.0.0.1:{port}" in row["detail"]


def test_a_collector_that_accepts_spans_is_good(doctor: Doctor):
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


# AWS.


WITHOUT_KEYS = {
    "AWS_ACCESS_KEY_ID": "",
    "AWS_SECRET_ACCESS_KEY": "",
    "AWS_CONFIG_FILE": "none",
    "AWS_SHARED_CREDENTIALS_FILE": "none",
}


def test_missing_credentials_are_told_with_the_ways_to_get_some(doctor: Doctor):
    found = doctor(**WITHOUT_KEYS)
    assert found.code == 1
    assert found.of("credentials")["detail"] == "boto3 finds no AWS credentials"
    assert "IRSA" in found.of("credentials")["advice"]
    assert found.of("queue")["detail"] == "there are no AWS credentials"


def test_a_service_accounts_role_is_told_apart(doctor: Doctor, tmp_path: Path):
    (tmp_path / "token").write_text("header.body.signature")
    role = {
        "AWS_ROLE_ARN": "arn:aws:iam::000000000000:role/worker",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
    }
    found = doctor(**WITHOUT_KEYS, **role)
    assert found.of("credentials")["detail"].startswith("web identity (IRSA")
    assert found.of("queue")["status"] == "ok"


def test_a_profile_that_is_not_there_is_told(doctor: Doctor):
    found = doctor(AWS_PROFILE="nobody", AWS_CONFIG_FILE="none", AWS_SHARED_CREDENTIALS_FILE="none")
    assert "nobody" in found.of("credentials")["detail"]
    assert found.of("queue")["status"] == "failure"
    assert found.of("inventory-svc")["status"] == "ok"


def test_a_queue_that_is_not_there_or_in_another_region_is_told(doctor: Doctor):
    url = "https://sqs.eu-west-1.amazonaws.com/000000000000/misspelt"
    region, missing = (row for row in doctor(SQS_QUEUE_URL=url).rows if row["check"] == "queue")
    assert "SQS_QUEUE_URL is in eu-west-1" in region["detail"]
    assert "the queue's URL and AWS_REGION" in missing["advice"]


# The neighbours, and this machine.


@pytest.mark.parametrize(
    ("health", "tls", "status", "words"),
    [
        (health_pb2.HealthCheckResponse.SERVING, False, "ok", "is SERVING"),
        (health_pb2.HealthCheckResponse.NOT_SERVING, False, "failure", "says NOT_SERVING"),
        (health_pb2.HealthCheckResponse.SERVING, True, "failure", "UNAVAILABLE"),
    ],
)
def test_inventory_is_known_by_its_health_and_by_its_tls(
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
def test_reservation_api_is_known_by_its_answer(world: World, answer: dict[str, Any], status: str):
    world.neighbours.answer("reservation", answer)
    known = {"reservation_api_base": world.neighbours.reservation_base, "call_timeout": 5.0}
    [row] = reservation_api.reservation_api(known)
    assert row.status == status
    assert bool(row.advice) == (status != "ok")


def test_what_a_neighbour_says_cannot_move_the_cursor(doctor: Doctor, world: World):
    world.neighbours.answer("reservation", {"status": 500, "body": "\x1b[2J\x9b2J"})
    assert doctor().of("reservation-api")["detail"].isprintable()


def test_a_port_that_another_process_has_is_told(doctor: Doctor, silent: int):
    found = doctor(SERVER_PORT=str(silent))
    row = found.only("failure")
    assert row["check"] == "SERVER_PORT"
    assert f"{silent} is in use by another process" in row["detail"]


def test_a_port_that_a_worker_has_is_no_fault(doctor: Doctor, world: World):
    worker = world.run_worker("beside")
    found = doctor(SERVER_PORT=worker.env["SERVER_PORT"])
    assert found.code == 0
    assert "a worker runs here already" in found.of("SERVER_PORT")["detail"]
    worker.stop()


def test_an_address_that_is_not_ours_to_listen_on_is_told(doctor: Doctor):
    row = doctor(GRPC_DEBUG_HOST="192.0.2.1").of("GRPC_DEBUG_PORT")
    assert row["status"] == "failure"
    assert "GRPC_DEBUG_HOST" in row["advice"]
