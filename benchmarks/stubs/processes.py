"""The stubs as child processes, and their control calls as methods. Methods raise ChildError."""

from pathlib import Path
from typing import Any

from benchmarks.stubs.queue import NAME
from reservation_worker.simulator.processes.server import ServerProcess


class StubProcess(ServerProcess):
    """One stub; its calls since the last `mark` are in `stats`."""

    control_port = "http"

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        super().__init__(f"benchmarks.stubs.{name}", [], directory)

    @property
    def control_base(self) -> str:
        """The URL under which it listens."""
        return f"http://127.0.0.1:{self._ready[self.control_port]}"

    def mark(self) -> None:
        """Reset the counts."""
        self._call("POST", "/bench/mark")

    def stats(self) -> dict[str, Any]:
        """The spans since the mark."""
        return self._call("GET", "/bench/stats")


class SqsStub(StubProcess):
    """The queue. Its clock for `seconds` runs from the mark to the last delete."""

    def __init__(self, directory: Path) -> None:
        super().__init__("sqs", directory)

    @property
    def queue_url(self) -> str:
        """For SQS_QUEUE_URL."""
        return f"{self.control_base}/000000000000/{NAME}"

    def reset(self, latency_ms: float, form: str = "plain") -> None:
        """Make the queue empty and its calls this slow; `form` is one of the envelopes' FORMS."""
        self._call("POST", "/bench/reset", {"latency_ms": latency_ms, "form": form})

    def add(self, count: int) -> None:
        """So many events, there at once."""
        self._call("POST", "/bench/add", {"count": count})

    def arrive(self, rate: float, count: int) -> None:
        """So many events, `rate` a second on average, at random times."""
        self._call("POST", "/bench/arrive", {"rate": rate, "count": count})

    def drain(self) -> None:
        """Hand nothing out any more, and let no long poll wait."""
        self._call("POST", "/bench/drain")

    def deleted(self) -> int:
        """How many since the mark."""
        return int(self._call("GET", "/bench/deleted")["deleted"])


class NeighboursStub(StubProcess):
    """inventory-svc and reservation-api."""

    control_port = "reservation"

    def __init__(self, directory: Path) -> None:
        super().__init__("neighbours", directory)

    @property
    def inventory_address(self) -> str:
        """For INVENTORY_GRPC_ADDR."""
        return f"127.0.0.1:{self._ready['inventory']}"

    def latency(self, latency_ms: float, jitter_ms: float) -> None:
        """How long each call takes from now on."""
        self._call("POST", "/bench/latency", {"latency_ms": latency_ms, "jitter_ms": jitter_ms})


class CollectorStub(StubProcess):
    """The OTLP receiver."""

    def __init__(self, directory: Path) -> None:
        super().__init__("collector", directory)

    @property
    def otlp_endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self._ready['otlp']}"
