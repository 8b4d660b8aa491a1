"""The command line as a user sees it."""

import re
import signal
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


def test_a_worker_without_sqs_stays_alive_logs_it_and_is_not_ready(world: World):
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


def test_run_imports_no_test_library_and_no_library_of_other_verbs():
    repository = Path(__file__).parents[2]
    code = (
        "import sys, reservation_worker.cli.main, reservation_worker.bootstrap;"
        "print([name for name in ('moto', 'pytest', 'ministack', 'requests', 'rich', 'responses')"
        " if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "[]"


def test_values_that_boto3_or_opentelemetry_refuse_are_configuration_errors(tmp_path: Path):
    queue = "http://127.0.0.1:9/000000000000/q"
    for name, value in (
        ("AWS_PROFILE", "nobody"),
        ("AWS_ENDPOINT_URL", "localhost:4566"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
    ):
        endpoint = "localhost:4317"
        settings = {"SQS_QUEUE_URL": queue, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, name: value}
        ended = run("run", cwd=tmp_path, HOME=str(tmp_path), **settings)
        assert ended.returncode == 2, ended.stdout + ended.stderr
        assert name.split("_")[0] in ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_stop_signal_during_the_start_does_not_wait_for_sqs(world: World):
    world.sqs.suspend()
    try:
        worker = world.worker({"SERVER_PORT": "0"}).start()
        worker.until(lambda: _catches(worker.pid, signal.SIGTERM), 60, "got ready to be stopped")
        worker.signal(signal.SIGTERM)
        assert worker.wait(40) == 0
    finally:
        world.sqs.resume()
    # Neither did it start, nor did it wait until SQS had not answered.
    assert worker.log_lines() == []


def _catches(pid: int, number: int) -> bool:
    (mask,) = re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{pid}/status").read_text())
    return bool(int(mask, 16) >> (number - 1) & 1)
