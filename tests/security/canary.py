"""Canaries in every place that holds a secret, and one worker that meets every failure."""

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import boto3
import grpc
import urllib3
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    add_TraceServiceServicer_to_server,
)

from reservation_worker.simulator.processes.worker import WorkerProcess
from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION
from tests.integration.test_tracing_export import Collector
from tests.security.lines import read_log
from tests.world import World, until

MARK = "CANARY"


def canary(name: str) -> str:
    """A secret that the search can find; its name identifies where it was planted."""
    return f"{MARK}-{name}-3kX9"


def with_password(url: str, name: str) -> str:
    """`url` with a user and a secret password."""
    return url.replace("://", f"://{MARK}-user:{canary(name)}@")


def leaks(text: str) -> list[str]:
    """The place of a canary, with some text around it."""
    return [text[max(0, at - 60) : at + 60] for at in range(len(text)) if text.startswith(MARK, at)]


SECRETS = {
    "AWS_SECRET_ACCESS_KEY": f"{canary('aws-secret-key')}/v+q=",
    "AWS_SESSION_TOKEN": canary("aws-session-token"),
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": canary("container-token"),
    # The second is not a valid header, and OpenTelemetry's warning quotes it.
    "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{MARK}-otlp,broken {MARK}-otlp-2",
    # No secret, but quoted while OpenTelemetry is imported.
    "OTEL_RESOURCE_ATTRIBUTES": "no pair",
    "HTTPS_PROXY": f"http://proxy-user:{canary('proxy')}@127.0.0.1:9",
    "http_proxy": f"http://proxy-user:{canary('small-proxy')}@127.0.0.1:9",
    # The first is for boto3, the second for the exporter.
    "NO_PROXY": "*",
    "no_grpc_proxy": "127.0.0.1",
}
# Fields of a payment's message that the worker must not show.
PAYMENT = ("amount", "currency", "card_number", "error_message", "user_id", "payment_intent_id")


class _Collector(Collector):
    """Records the Authorization headers."""

    def __init__(self) -> None:
        super().__init__()
        self.authorization: set[str] = set()

    def Export(self, request: Any, context: Any) -> Any:
        metadata = dict(context.invocation_metadata())
        self.authorization.add(str(metadata.get("authorization")))
        return super().Export(request, context)


@contextmanager
def _collecting() -> Iterator[tuple[_Collector, str]]:
    collector = _Collector()
    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield collector, f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@dataclass
class Output:
    """All output of one worker, by place."""

    places: dict[str, str] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)
    letters: int = 0
    # The places where canaries are expected, which proves that they were planted.
    authorization: set[str] = field(default_factory=set)
    environ: str = ""


PAGES = {
    ("GET", "/metrics"), ("GET", "/health"), ("GET", "/ready"), ("GET", "/nothing"),
    ("GET", "/"), ("GET", "/api/v1/status"), ("GET", "/api/v1/config"),
    ("POST", "/health"), ("TRACE", "/health"), ("GET", "/%ff"),
}  # fmt: skip


def pages(worker: WorkerProcess) -> str:
    """Every page and error page, with its headers."""
    with urllib3.PoolManager() as pool:
        answers = [pool.request(method, worker.base + path) for method, path in PAGES]
        answers.append(pool.request("GET", f"{worker.base}/health", headers={"X": "y" * 20_000}))
    return "\n".join(f"{one.status} {dict(one.headers)} {one.data.decode()}" for one in answers)


def event(kind: str, rid: str, **detail: Any) -> str:
    """An event with canaries in all payment fields."""
    facts = {"reservation_id": rid, "event_id": "show", "seat_ids": [f"S-{rid}"]}
    payment = {name: canary(name) for name in PAYMENT}
    return json.dumps({"type": kind, "detail": facts | payment | detail})


def store_secret(world: World, text: str, name: str = "traffictacos/reservation-worker") -> None:
    """The AWS secret, in the embedded AWS."""
    boto3.client(
        "secretsmanager",
        endpoint_url=world.sqs.url,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    ).create_secret(Name=name, SecretString=text)


def run_through_every_failure() -> Output:
    """One worker: good and bad messages, neighbours that fail, an SQS that goes away."""
    made = Output()
    with World() as world, _collecting() as (collector, collector_address):
        secret = {
            "sqs_queue_url": with_password(world.queue_url, "queue"),
            "otel_endpoint": collector_address,
            "api_token": canary("others-token"),
        }
        store_secret(world, json.dumps(secret))
        world.seed(4)
        worker = world.worker(
            SECRETS
            | {
                "AWS_ENDPOINT_URL": with_password(world.sqs.url, "endpoint"),
                "USE_SECRET_MANAGER": "true",
                "LOG_LEVEL": "debug",
                "MAX_RETRIES": "0",
                "SQS_WAIT_TIME": "1",
                "SHUTDOWN_TIMEOUT": "15",
            }
        ).start()
        worker.ready()
        process = Path(f"/proc/{worker.pid}")
        made.environ = (process / "environ").read_text()
        made.places["command line"] = "".join(
            (process / name).read_text() for name in ("cmdline", "comm")
        )

        world.neighbours.answer("reservation", {"status": 422, "body": "who?"}, ids=["rsv_1"])
        world.neighbours.answer("inventory", {"code": "DATA_LOSS"}, ids=["rsv_2"])
        for body in (
            event("payment.failed", "rsv_0"),
            event("payment.approved", "rsv_1"),
            event("payment.approved", "rsv_2"),
            event("payment.approved", "../rsv"),
            event("payment.approved", "rsv_3", qty="two"),
            event("payment.approved", "rsv_3")[:-2],
        ):
            world.client.send_message(QueueUrl=world.queue_url, MessageBody=body)
        until(world.empty, 60, "all are settled")
        made.places["pages"] = pages(worker)
        letters = [asdict(letter) for letter in world.dead_letters()]
        made.letters = len(letters)
        # The producer's body is copied unchanged.
        made.places["dead letters"] = str([letter | {"body": ""} for letter in letters])

        world.neighbours.down("both")
        world.expire([f"rsv_down{number}" for number in range(12)])
        worker.until(lambda: worker.probe("/ready")[0] == 503, 60, "opened a breaker")
        world.sqs.kill()
        said = worker.stdout.read_text

        def missed_sqs() -> bool:
            # No other thread calls SQS while a breaker is open.
            worker.probe("/api/v1/status")
            return "Could not connect to the endpoint" in said()

        worker.until(missed_sqs, 60, "missed SQS")
        made.places["pages in an outage"] = pages(worker)
        # Nothing is received while a breaker is open.
        world.neighbours.clear()
        worker.until(lambda: "receive failed" in said(), 60, "failed to receive")
        worker.signal(signal.SIGTERM)
        worker.wait(60)
        made.places["stdout"] = worker.stdout.read_text()
        made.places["stderr"] = worker.stderr.read_text()
        made.places["spans"] = str(collector.requests)
        made.log = read_log(worker.stdout)
        made.authorization = collector.authorization
    return made
