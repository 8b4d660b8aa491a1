"""The verb `health` against a real HTTP server, as a container's probe runs it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from reservation_worker.cli import worker_http
from reservation_worker.servers.health import HealthServer, make_app
from reservation_worker.status.probes import Check, Probes
from tests.fake_queue import PATIENCE, new_metrics
from tests.modules import modules_loaded

ROOT = Path(__file__).parents[2]


class FakeProbes:
    """In place of Probes: healthy, and not ready."""

    def health(self) -> list[Check]:
        return [Check("poller", True, "polling")]

    def ready(self) -> list[Check]:
        return [Check("queue", False, "no receive has succeeded yet"), Check("x", False, "open")]


@pytest.fixture(scope="module")
def port() -> Iterator[str]:
    app = make_app(cast(Probes, FakeProbes()), new_metrics().registry)
    server = HealthServer(app, "127.0.0.1", 0)
    server.start()
    yield str(server.port)
    server.stop(PATIENCE)


def health(cwd: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reservation_worker", "health", *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_healthy_worker_exits_0_whatever_else_in_the_configuration_is_wrong(
    port: str, tmp_path: Path
) -> None:
    done = health(tmp_path, SERVER_PORT=port, MAX_RETRIES="x", http_proxy="http://127.0.0.1:9")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"ok: http://127.0.0.1:{port}/health\n"


def test_a_failing_probe_exits_1_and_one_line_names_each_failing_check(
    port: str, tmp_path: Path
) -> None:
    done = health(tmp_path, "--ready", SERVER_PORT=port)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout == "fail: queue: no receive has succeeded yet; x: open\n"


def test_the_port_may_come_from_a_file(port: str, tmp_path: Path) -> None:
    (tmp_path / ".env.local").write_text(f"SERVER_PORT={port}\n")
    assert health(tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("value", "said"),
    [("eighty", "SERVER_PORT is 'eighty'"), ("0", "any free port"), ("1", "Connection refused")],
)
def test_no_worker_and_a_wrong_port_exit_1_because_docker_reserves_2(
    tmp_path: Path, value: str, said: str
) -> None:
    done = health(tmp_path, SERVER_PORT=value)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_answer_unlike_a_workers_probe_is_never_healthy(port: str, tmp_path: Path) -> None:
    done = health(tmp_path, "--url", f"http://127.0.0.1:{port}/metrics")
    assert done.returncode == 1
    assert "not like a worker's probe" in done.stderr


def test_the_probe_imports_no_heavy_library(port: str, tmp_path: Path) -> None:
    loaded = modules_loaded("health", cwd=tmp_path, SERVER_PORT=port)
    assert "requests" in loaded
    heavy = {
        "boto3",
        "botocore",
        "rich",
        "grpc",
        "flask",
        "reservation_worker.bootstrap",
    }
    assert not loaded & heavy


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8040"),
        ("::", "http://127.0.0.1:8040"),
        ("10.1.2.3", "http://10.1.2.3:8040"),
        ("fd00::1", "http://[fd00::1]:8040"),
        ("localhost", "http://localhost:8040"),
    ],
)
def test_a_wildcard_host_is_probed_on_loopback_and_any_other_host_as_it_is(
    host: str, url: str
) -> None:
    assert worker_http.base_url(host, 8040) == url
