"""The fault-injecting SQS proxy as a child process, and its control endpoint as methods."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reservation_worker.simulator.processes.ports import LOOPBACK
from reservation_worker.simulator.processes.server import ServerProcess
from tests.sqs_proxy.deliveries import Use


class SqsProxyProcess(ServerProcess):
    """Between a worker and the SQS at `upstream`. Methods raise ChildError."""

    name = "sqs-proxy"

    def __init__(
        self,
        upstream: str,
        seed: int = 0,
        faults: Mapping[str, Any] | None = None,
        directory: Path | None = None,
    ) -> None:
        options = [
            f"--upstream={upstream}",
            f"--seed={seed}",
            f"--faults={json.dumps(faults or {})}",
        ]
        super().__init__("tests.sqs_proxy.proxy", options, directory)

    @property
    def url(self) -> str:
        """The endpoint, for AWS_ENDPOINT_URL."""
        return f"http://{LOOPBACK}:{self._ready['port']}"

    @property
    def control_base(self) -> str:
        """The URL of its control endpoint."""
        return f"{self.url}/_proxy"

    def url_for(self, worker: str) -> str:
        """The endpoint for a worker; its deliveries are recorded under its name."""
        return f"{self.url}/{worker}"

    def set_faults(
        self, faults: Mapping[str, Any] | None = None, max_visibility: int | None = None
    ) -> None:
        """Replace the faults: a rate or {rate, actions, seconds} by name."""
        asked: dict[str, Any] = {"faults": dict(faults or {})}
        if max_visibility is not None:
            asked["max_visibility"] = max_visibility
        self._call("POST", "/faults", asked)

    def counts(self) -> dict[str, int]:
        """How often each fault was injected so far."""
        counts: dict[str, int] = self._call("GET", "/counts")["counts"]
        return counts

    def deliveries(self) -> list[dict[str, Any]]:
        """Every delivery so far, with the fields of deliveries.Delivery."""
        rows: list[dict[str, Any]] = self._call("GET", "/deliveries")["deliveries"]
        for row in rows:
            row["uses"] = [Use(*use) for use in row["uses"]]
        return rows

    def log(self) -> list[dict[str, Any]]:
        """Every config and every injected fault, oldest first."""
        lines = self.stderr.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]
