"""Compares Kubernetes manifests with the worker's settings: queue, region, memory limit."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reservation_worker.cli import streams
from reservation_worker.cli.doctor import keda, machine
from reservation_worker.cli.doctor.keda import RENDERED, queue_region
from reservation_worker.cli.doctor.objects import at, items, mapping, name_of, quantity
from reservation_worker.cli.doctor.result import CheckResult, Known, failure, ok, unknown
from reservation_worker.errors import OperationError
from reservation_worker.sqs.identity import same_queue

NAME = "manifests"
OURS = {"SQS_QUEUE_URL", "USE_SECRET_MANAGER", "WORKER_CONCURRENCY"}
"""A container with one of these variables is a worker; a pod may have other containers."""


@dataclass(frozen=True, slots=True)
class Manifests:
    """The files' objects by name; `problems` has a result for each unreadable file."""

    scaled: list[Mapping[str, Any]] = field(default_factory=list)
    deployments: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    maps: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    problems: list[CheckResult] = field(default_factory=list)

    def environment(self, container: Mapping[str, Any]) -> dict[str, str]:
        """The container's variables, as far as the files set them."""
        found: dict[str, str] = {}
        for source in items(container.get("envFrom")):
            map_ = self.maps.get(str(at(source, "configMapRef", "name")))
            found |= {str(k): str(v) for k, v in mapping(at(map_, "data")).items()}
        for variable in items(container.get("env")):
            value = variable.get("value")
            if reference := mapping(at(variable, "valueFrom", "configMapKeyRef")):
                map_ = self.maps.get(str(reference.get("name")))
                value = at(map_, "data", str(reference.get("key")))
            if value is not None:
                found[str(variable.get("name"))] = str(value)
        return found

    def workers(self, name: str) -> Iterator[tuple[Mapping[str, Any], dict[str, str]]]:
        """The worker containers of Deployment `name`, with their variables."""
        deployment = self.deployments.get(name)
        for container in items(at(deployment, "spec", "template", "spec", "containers")):
            environ = self.environment(container)
            if environ.keys() & OURS:
                yield container, environ


def compare(files: list[Path], known: Known) -> list[CheckResult]:
    """Results for unreadable files, then for each ScaledObject and Deployment."""
    try:
        found = read(files)
    except ImportError:
        return [unknown(NAME, "there is no YAML parser here", "pip install pyyaml")]
    rows = list(found.problems)
    for scaled in found.scaled:
        target = str(at(scaled, "spec", "scaleTargetRef", "name"))
        environ = {k: v for _, one in found.workers(target) for k, v in one.items()}
        rows += keda.check_scaled_object(scaled, environ, known)
    for name in found.deployments:
        for container, environ in found.workers(name):
            rows += _worker(f"Deployment {name}", container, environ, known)
    if not rows:
        advice = "pass the files with the ScaledObject and the Deployment"
        rows.append(
            unknown(NAME, "they contain neither a ScaledObject nor a worker's Deployment", advice)
        )
    return rows


def _worker(
    check: str, container: Mapping[str, Any], environ: Mapping[str, str], known: Known
) -> Iterator[CheckResult]:
    if url := environ.get("SQS_QUEUE_URL"):
        if same_queue(url, known["sqs_queue_url"]):
            yield ok(check, "its SQS_QUEUE_URL is ours")
        else:
            detail = f"its SQS_QUEUE_URL is {url}, ours is {known['sqs_queue_url']}"
            yield failure(check, detail, "correct the one that is wrong")
    else:
        detail = "the files do not set its SQS_QUEUE_URL"
        advice = f"{RENDERED}; a secret can't be seen here"
        yield unknown(check, detail, advice)
    region = environ.get("SQS_REGION") or environ.get("AWS_REGION")
    if region and region != (ours := queue_region(known)):
        detail = f"its region is {region}, but the queue is in {ours}"
        yield failure(check, detail, "correct AWS_REGION (or SQS_REGION) where it is wrong")
    threads = environ.get("WORKER_CONCURRENCY", "")
    given = threads.isascii() and threads.isdigit()
    count = int(threads) if given else known.get("worker_concurrency")
    limit = quantity(at(container, "resources", "limits", "memory"))
    if limit is not None and count is not None:
        yield machine.check_limit(check, limit, count)


def read(files: Iterable[Path]) -> Manifests:
    """The documents of all files, lists expanded. Raises ImportError without a YAML parser."""
    import yaml  # type: ignore[import-untyped]  # noqa: PLC0415 -- no dependency of the worker

    found = Manifests()
    for file in files:
        try:
            documents = list(yaml.safe_load_all(streams.read(str(file)).decode()))
        except OperationError as error:
            found.problems.append(failure(NAME, str(error), "correct its name or permissions"))
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            found.problems.append(
                failure(NAME, f"{streams.shown(str(file))} is not YAML: {error}", RENDERED)
            )
        else:
            for document in documents:
                _sort(document, found)
    return found


def _sort(document: Any, found: Manifests) -> None:
    kind = at(document, "kind")
    if kind == "ScaledObject":
        found.scaled.append(document)
    elif kind == "Deployment":
        found.deployments[name_of(document)] = document
    elif kind == "ConfigMap":
        found.maps[name_of(document)] = document
    elif isinstance(kind, str) and kind.endswith("List"):
        for item in items(document.get("items")):
            _sort(item, found)
