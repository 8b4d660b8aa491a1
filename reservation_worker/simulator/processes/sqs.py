"""Embedded SQS (MiniStack) as a child process."""

import importlib.util
import os
import shlex
import sys
import uuid
from pathlib import Path

from reservation_worker.simulator.processes.child import Child, ChildError, Loopback
from reservation_worker.simulator.processes.ports import LOOPBACK, free_port
from reservation_worker.simulator.sqs.emulator import NAME, REGION

EXTERNAL_SQS = "EXTERNAL_SQS_URL"
"""The variable that names an SQS endpoint to use in place of the embedded one."""
_TRIES = 5


def ministack_command() -> list[str]:
    """The emulator's command; MINISTACK_COMMAND overrides it. Raises ChildError: not installed."""
    if override := os.environ.get("MINISTACK_COMMAND"):
        return shlex.split(override)
    if importlib.util.find_spec("ministack") is not None:
        return [sys.executable, "-m", "ministack"]
    raise ChildError(
        "MiniStack is not installed: in the project's directory, pip install '.[demo]'"
    )


class ExternalSqs:
    """A running SQS endpoint; it may have others' queues."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.queue_name = f"{NAME}-{uuid.uuid4().hex[:12]}"


class SqsProcess(Child):
    """Embedded SQS (MiniStack) on a free loopback port, with its state in its directory."""

    name = "ministack"
    queue_name = NAME

    def __init__(self, directory: Path | None = None) -> None:
        super().__init__(ministack_command(), directory=directory)
        self._http = Loopback()
        self.port = 0

    @property
    def url(self) -> str:
        """The endpoint, for AWS_ENDPOINT_URL."""
        return f"http://{LOOPBACK}:{self.port}"

    def start(self) -> "SqsProcess":
        """Start it, with several tries because the port may be taken meanwhile."""
        for left in reversed(range(_TRIES)):
            self.port = free_port()
            self.env = {
                "BIND_HOST": LOOPBACK,
                "GATEWAY_PORT": str(self.port),
                "STATE_DIR": str(self.directory / "state"),
                "MINISTACK_REGION": REGION,
                "LOG_LEVEL": "WARNING",
                "SFTP_ENABLED": "0",
                "IOT_MTLS_ENABLED": "0",
                # None of our code runs there, and measuring doubles its CPU time.
                "COVERAGE_PROCESS_CONFIG": "",
                # Keeps it from removing containers of this machine.
                "DOCKER_HOST": f"unix://{self.directory}/no-docker.sock",
            }
            try:
                super().start()
            except ChildError:
                if not left or "in use" not in self.tail():
                    raise
            else:
                break
        return self

    def _up(self) -> None:
        # It binds its port before it can serve, so wait for an answer of any kind.
        url = f"{self.url}/_ministack/health"
        self.until(lambda: self._http.answer("GET", url) is not None, 30, "answered")
