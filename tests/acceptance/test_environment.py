"""Variables of the libraries: each is obeyed, refused with a sentence, or ignored."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    add_TraceServiceServicer_to_server,
)

from reservation_worker.config.libraries import CHECKED
from tests.acceptance.doctor.processes import Report, serving, started
from tests.integration.test_tracing_export import Collector
from tests.proxy import refusing_proxy
from tests.unit.clients.http_neighbour import Neighbour, error, self_signed
from tests.world import World, until

ROOT = Path(__file__).parents[2]
WRONG = {variable.name: "-1" for variable in CHECKED}
NOT_THEIRS = {
    "PROMETHEUS_MULTIPROC_DIR": "/nowhere",
    "prometheus_multiproc_dir": "/nowhere",
    "LOGURU_LEVEL": "loud",
    "LOGURU_AUTOINIT": "perhaps",
    "OTEL_PROPAGATORS": "pigeon",
    "OTEL_PYTHON_CONTEXT": "nonsense",
    "OTEL_PYTHON_METER_PROVIDER": "nonsense",
    "OTEL_PYTHON_TRACER_PROVIDER": "nonsense",
}


@pytest.fixture
def environ(world: World) -> dict[str, str]:
    return world.worker().env | {"SERVER_PORT": "0"}


def run(environ: dict[str, str], directory: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "reservation_worker", "run"],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_value_that_a_library_would_refuse_is_a_configuration_error(
    environ: dict[str, str], tmp_path: Path
) -> None:
    done = run(environ | WRONG, tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    head, *problems = done.stderr.splitlines()
    assert head == f"reservation-worker: {len(WRONG)} configuration problems"
    for name, line in zip(WRONG, problems, strict=True):
        assert line.startswith(f"  - {name} is '-1' in the environment, but it must be ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "99999"),
        ("OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES", "NONE"),
    ],
)
def test_a_value_that_only_the_library_can_check_is_a_configuration_error_too(
    environ: dict[str, str], tmp_path: Path, name: str, text: str
) -> None:
    done = run(environ | {name: text, "OTEL_EXPORTER_OTLP_ENDPOINT": "127.0.0.1:1"}, tmp_path)
    assert done.returncode == 2
    assert "OpenTelemetry refuses its settings (" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_names_the_wrong_variables_and_checks_everything_else(
    environ: dict[str, str], tmp_path: Path
) -> None:
    with started(environ | WRONG, tmp_path) as process:
        out, err = process.communicate(timeout=60)
    assert err == ""
    found = Report(process.returncode, out)
    assert found.statuses("configuration") == ["failure"] * len(WRONG)
    assert found.statuses("inventory-svc") == found.statuses("queue") == ["ok"]


@pytest.mark.parametrize("in_a_file", [False, True])
def test_library_variables_that_the_worker_overrides_change_nothing(
    world: World, in_a_file: bool
) -> None:
    worker = world.worker({"SQS_WAIT_TIME": "1"} | ({} if in_a_file else NOT_THEIRS), "worker")
    if in_a_file:
        work = worker.directory / "worker.cwd"
        work.mkdir()
        (work / ".env").write_text("".join(f"{n}={text}\n" for n, text in NOT_THEIRS.items()))
    world.expire(world.seed(1))
    worker.start()
    until(world.empty, 60, "the message is settled")
    assert not [line for line in worker.log_lines() if line["level"] == "error"]
    worker.signal(signal.SIGTERM)
    assert worker.wait(60) == 0


# One bundle of CAs for all TLS.


@pytest.fixture
def certified(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Both neighbours and a collector over TLS, with a certificate of a private CA."""
    pem = tmp_path / "server.pem"
    context = self_signed(pem)
    key_and_chain = (pem.read_bytes(), pem.read_bytes())
    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(Collector(), server)
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([key_and_chain]))
    server.start()
    with Neighbour(context) as neighbour:
        neighbour.says(404, error("RESERVATION_NOT_FOUND"))
        yield {
            "INVENTORY_GRPC_ADDR": f"127.0.0.1:{port}",
            "INVENTORY_GRPC_TLS": "true",
            "RESERVATION_API_BASE": neighbour.base,
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"https://127.0.0.1:{port}",
        }
    server.stop(0).wait(10)


@pytest.mark.parametrize(
    ("trusting", "status"), [("", "failure"), ("environment", "ok"), (".env", "ok")]
)
def test_one_ca_bundle_applies_to_rest_grpc_and_the_collector(
    environ: dict[str, str],
    certified: dict[str, str],
    tmp_path: Path,
    trusting: str,
    status: str,
) -> None:
    bundle = str(tmp_path / "server.pem")
    if trusting == ".env":
        (tmp_path / ".env").write_text(f"SSL_CERT_FILE={bundle}\n")
    given = {"SSL_CERT_FILE": bundle} if trusting == "environment" else {}
    with started(environ | certified | given, tmp_path) as process:
        out, err = process.communicate(timeout=60)
    assert err == ""
    found = Report(process.returncode, out)
    for check in ("reservation-api", "inventory-svc", "traces"):
        assert found.statuses(check) == [status], check
        assert status == "ok" or "SSL_CERT_FILE" in found.of(check)["advice"]


# The collector, through a proxy.


@pytest.fixture
def proxy() -> Iterator[str]:
    with refusing_proxy() as (address, _):
        yield address


def test_doctor_names_the_proxy_in_front_of_the_collector(
    environ: dict[str, str], tmp_path: Path, proxy: str
) -> None:
    collector = Collector()
    with serving(lambda server: add_TraceServiceServicer_to_server(collector, server)) as address:
        given = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            "https_proxy": f"http://user:hunter2@{proxy}",
            "NO_PROXY": "127.0.0.1",
        }
        for exceptions, status in (("", "failure"), ("127.0.0.1", "ok")):
            with started(environ | given | {"no_proxy": exceptions}, tmp_path) as process:
                out, _ = process.communicate(timeout=60)
            row = Report(process.returncode, out).of("traces")
            assert row["status"] == status
            assert (f"through the proxy {proxy} of https_proxy" in row["detail"]) == (
                status == "failure"
            )
            assert ("no_proxy" in row["advice"]) == (status == "failure")
            assert "hunter2" not in out
