"""`doctor` before a whole system, real servers all: it names each problem, and touches nothing."""

import json
import signal
import socket
from contextlib import closing
from pathlib import Path

import boto3

from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION
from tests.acceptance.doctor.processes import Doctor, started
from tests.world import World

WORKS = (
    "ReceiveMessage",
    "DeleteMessage",
    "ChangeMessageVisibility",
    "SendMessage",
)


def test_a_working_system_has_no_failure_and_exits_0(doctor: Doctor):
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


def test_a_wrong_variable_does_not_stop_the_other_checks(doctor: Doctor):
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


def test_no_value_of_the_aws_secret_is_shown(doctor: Doctor, environ: dict[str, str], world: World):
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


def test_each_address_that_hangs_is_a_failure(doctor: Doctor, silent: int):
    there = f"127.0.0.1:{silent}"
    found = doctor(
        CALL_TIMEOUT="0.5",
        AWS_ENDPOINT_URL=f"http://{there}",
        INVENTORY_GRPC_ADDR=there,
        RESERVATION_API_BASE=f"http://{there}",
        OTEL_EXPORTER_OTLP_ENDPOINT=there,
    )
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
