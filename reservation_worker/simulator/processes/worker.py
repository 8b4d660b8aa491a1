"""The worker as a child process, configured by its environment alone, as in production."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reservation_worker.simulator.metrics import Metrics
from reservation_worker.simulator.processes.child import Child, Loopback
from reservation_worker.simulator.processes.ports import LOOPBACK, free_port
from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION

# One without a free descriptor does not answer.
_PATIENCE = 10.0


class WorkerProcess(Child):
    """`env` adds to the required settings, or replaces them."""

    name = "worker"

    def __init__(
        self,
        queue_url: str,
        endpoint: str,
        inventory_address: str,
        reservation_base: str,
        env: Mapping[str, str] | None = None,
        directory: Path | None = None,
        name: str = "worker",
    ) -> None:
        self.name = name
        settings = CREDENTIALS | {
            "SQS_QUEUE_URL": queue_url,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "INVENTORY_GRPC_ADDR": inventory_address,
            "RESERVATION_API_BASE": reservation_base,
            "SERVER_HOST": LOOPBACK,
            "SERVER_PORT": str(free_port()),
            "GRPC_DEBUG_PORT": "0",
            "SQS_WAIT_TIME": "2",
            "SHUTDOWN_TIMEOUT": "30",
            "LOG_LEVEL": "info",
            "POD_NAME": name,
        }
        command = [sys.executable, "-m", "reservation_worker", "run"]
        super().__init__(command, settings | dict(env or {}), directory)
        self._http = Loopback(_PATIENCE)

    @property
    def base(self) -> str:
        """The URL of its probes and metrics."""
        return f"http://{LOOPBACK}:{self.env['SERVER_PORT']}"

    def ready(self, timeout: float = 60.0) -> None:
        """Wait until /ready is green, which a start does not. Raises ChildError."""
        self.until(lambda: self.probe("/ready")[0] == 200, timeout, "become ready")

    def probe(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and body of a probe; (0, {}) while nobody listens or answers."""
        answer = self._http.answer("GET", self.base + path)
        return (0, {}) if answer is None else (answer.status_code, answer.json())

    def health(self) -> tuple[int, dict[str, Any]]:
        """Status and body of /health."""
        return self.probe("/health")

    def metrics(self) -> Metrics:
        """The metrics now. Raises ChildError if /metrics does not answer."""
        answer = self._http.answer("GET", self.base + "/metrics")
        if answer is None or not answer.ok:
            raise self.error("does not answer /metrics")
        return Metrics(answer.text)

    def log_lines(self) -> list[dict[str, Any]]:
        """Its log so far, oldest first, without lines that are no JSON objects."""
        lines = []
        for text in self.stdout.read_text(errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict):
                lines.append(line)
        return lines
