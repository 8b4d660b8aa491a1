"""`run` on a terminal: lines for people. Nothing it needs is there, which the log reports."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

from reservation_worker import __version__
from reservation_worker.simulator.sqs.emulator import CREDENTIALS

ROOT = Path(__file__).parents[2]
STARTED = re.compile(
    rf"reservation-worker {re.escape(__version__)} started on queue night in ap-northeast-2;"
    r" status page http://127\.0\.0\.1:[1-9][0-9]*, debug server on 127\.0\.0\.1 port [0-9]+"
)


def first_lines(directory: Path, **env: str) -> list[str]:
    """What `run` prints on a terminal until it has started; then it is stopped."""
    mine, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "reservation_worker", "run"],
        cwd=directory,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "SQS_QUEUE_URL": "https://sqs.ap-northeast-2.amazonaws.com/123456789012/night",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "SERVER_PORT": "0",
            "GRPC_DEBUG_PORT": "0",
            **CREDENTIALS,
            **env,
        },
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=subprocess.DEVNULL,
    )
    os.close(its)
    try:
        seen = ""
        with os.fdopen(mine, errors="replace") as terminal:
            while not (" started on queue " in seen and seen.endswith("\n")):
                seen += terminal.readline()
        return seen.splitlines()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_on_a_terminal_the_log_is_text_and_names_queue_region_and_page(tmp_path: Path) -> None:
    lines = first_lines(tmp_path)
    assert re.fullmatch(rf"\d\d:\d\d:\d\d \S+ info  {STARTED.pattern}", lines[-1])
    assert not any(line.startswith("{") for line in lines)


def test_log_format_overrules_the_terminal(tmp_path: Path) -> None:
    last = json.loads(first_lines(tmp_path, LOG_FORMAT="json")[-1])
    assert STARTED.fullmatch(last["msg"])
