"""A simulator's server as a child process, with its control endpoint (see serve.py)."""

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reservation_worker.simulator.processes.child import Child, Loopback


class ServerProcess(Child, ABC):
    """Runs `module`; its first line on stdout has its ports and means that it is ready."""

    def __init__(self, module: str, options: Sequence[str], directory: Path | None = None) -> None:
        command = [sys.executable, "-m", module, *options]
        super().__init__(command, directory=directory)
        self._http = Loopback()
        self._ready: dict[str, Any] = {}

    @property
    @abstractmethod
    def control_base(self) -> str:
        """The URL of its control endpoint."""

    def _up(self) -> None:
        self.until(lambda: b"\n" in self.stdout.read_bytes(), 30, "said it was ready")
        self._ready = json.loads(self.stdout.read_text().splitlines()[-1])

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = self._http.answer(method, self.control_base + path, body)
        if answer is None:
            raise self.error(f"does not answer {path}")
        if answer.status_code != 200:
            raise self.error(f"answered {answer.status_code} to {path}: {answer.text[:500]}")
        result: dict[str, Any] = answer.json()
        return result
