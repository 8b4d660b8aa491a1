"""The model's inputs, read from their files: measured figures, assumptions, the manifests."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from benchmarks.capacity.scaler import Scaling

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "benchmarks/measured.json"
ASSUMED = ROOT / "benchmarks/capacity/assumptions.json"
_BASE = ROOT / "k8s/deploy/base"

BATCH = 10
"""Messages that a pod holds beside those in its threads (one receive)."""


@dataclass(frozen=True)
class WorkerFigures:
    """Measured figures of one worker. Times in seconds."""

    cpu_per_event: float
    thread_per_event: float
    neighbours: float
    cores: float
    start_cpu: float
    calls_per_event: float

    @classmethod
    def from_figures(cls, measured: dict[str, float]) -> Self:
        """From `read_figures(MEASURED)`.

        The time that an event occupies a thread includes the wait for the interpreter; the cores
        that one process can use follow from the rate beyond which more threads gained nothing.
        """
        cpu = measured["cpu_ms_per_event"] / 1000
        return cls(
            cpu_per_event=cpu,
            thread_per_event=measured["concurrency"] / measured["events_per_second"],
            neighbours=measured["neighbours_ms"] / 1000,
            cores=measured["saturated_events_per_second"] * cpu,
            start_cpu=measured["start_cpu_seconds"],
            calls_per_event=measured["sqs_calls_per_event"],
        )


@dataclass(frozen=True)
class Pod:
    """One pod's settings: threads, its CPU limit in cores, both neighbours together in seconds."""

    worker: WorkerFigures
    concurrency: int
    cpu: float
    neighbours: float

    @property
    def rate(self) -> float:
        """Events a second at most: the smaller of what threads and CPU allow."""
        own = self.worker.thread_per_event - self.worker.neighbours
        by_threads = self.concurrency / (self.neighbours + own)
        return min(by_threads, min(self.cpu, self.worker.cores) / self.worker.cpu_per_event)

    @property
    def slots(self) -> int:
        """The most messages that it holds."""
        return self.concurrency + BATCH

    @property
    def start(self) -> float:
        """Seconds from its process's start, under its CPU limit, to its first receive."""
        return self.worker.start_cpu / min(self.cpu, 1.0)


def read_figures(path: Path) -> dict[str, float]:
    """The file's figures without their sources.

    Raises ValueError if the file is not JSON or a figure is not a positive number.
    """
    try:
        figures = {name: entry["value"] for name, entry in json.loads(path.read_text()).items()}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        shape = '{"NAME": {"value": NUMBER, "source": "TEXT"}}'
        raise ValueError(f"{path} can't be read ({error!r}): it has to be {shape}") from None
    for name, value in figures.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ValueError(f"{path}: the value of {name} is {value!r}: give a number above 0")
    return figures


def shipped_scaling() -> Scaling:
    """k8s/deploy/base/keda.yaml."""
    return Scaling.from_manifest(_manifest("keda.yaml", "ScaledObject"))


def shipped_pod(worker: WorkerFigures) -> Pod:
    """k8s/deploy/base/deployment.yaml: its threads and CPU limit, neighbours as measured."""
    spec = _manifest("deployment.yaml", "Deployment")["spec"]["template"]["spec"]
    container = spec["containers"][0]
    environ = {one["name"]: one.get("value") for one in container["env"]}
    cpu = _cores(container["resources"]["limits"]["cpu"])
    return Pod(worker, int(environ["WORKER_CONCURRENCY"]), cpu, worker.neighbours)


def _cores(quantity: str) -> float:
    text = str(quantity)
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def _manifest(name: str, kind: str) -> dict[str, Any]:
    documents = yaml.safe_load_all((_BASE / name).read_text())
    return next(one for one in documents if one["kind"] == kind)
