"""`doctor` as a process, its report, and servers that it asks."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc


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
        rows = [row for row in self.rows if row["status"] == status]
        assert len(rows) == 1, rows
        return rows[0]

    def of(self, check: str) -> dict[str, str]:
        """The only row of this check."""
        [row] = [row for row in self.rows if row["check"] == check]
        return row


Doctor = Callable[..., Report]


def started(
    environ: dict[str, str], directory: Path, *args: str, **changes: str
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "reservation_worker", "doctor", "--json", *args],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3])}
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
