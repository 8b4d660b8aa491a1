"""The command line as a person meets it."""

import socket
import subprocess
import sys
from pathlib import Path

from tests.world import World


def run(*args: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    repository = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-m", "reservation_worker", *args],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(repository), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_wrong_configuration_names_every_problem_and_exits_2(tmp_path: Path):
    ended = run("run", cwd=tmp_path, SERVER_PORT="eighty", WORKER_CONCURRENCY="0")
    assert ended.returncode == 2
    for name in ("SQS_QUEUE_URL", "SERVER_PORT", "WORKER_CONCURRENCY"):
        assert name in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_taken_port_is_said_plainly_and_exits_1(world: World):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        worker = world.worker({"SERVER_PORT": str(port)}).start()
        assert worker.wait(30) == 1
    (line,) = (line for line in worker.log_lines() if line["level"] == "error")
    assert str(port) in line["msg"]
    assert "traceback" not in line


def test_a_worker_without_sqs_stays_alive_says_so_and_is_not_ready(world: World):
    worker = world.worker({"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "SQS_WAIT_TIME": "1"}).start()
    worker.until(
        lambda: any("receive failed" in line["msg"] for line in worker.log_lines()),
        60,
        "said that receives fail",
    )
    assert worker.health()[0] == 200
    status, body = worker.probe("/ready")
    assert status == 503
    assert body["failing"] == ["queue"]


def test_a_production_install_needs_no_test_library():
    repository = Path(__file__).parents[2]
    code = (
        "import sys, reservation_worker.app, reservation_worker.cli.run;"
        "print([name for name in ('moto', 'pytest', 'ministack', 'rich', 'responses')"
        " if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "[]"
