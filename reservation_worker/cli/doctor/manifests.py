"""Kubernetes manifests against the worker: does KEDA look at our queue, is the limit enough?"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from reservation_worker.cli.doctor import keda, machine
from reservation_worker.cli.doctor.keda import RENDERED, queue_region
from reservation_worker.cli.doctor.objects import at, items, mapping, name_of, quantity
from reservation_worker.cli.doctor.result import Check, CheckResult, Known, failure, ok, unknown
from reservation_worker.sqs.identity import same_queue

NAME = "manifests"
STDIN = Path("-")
OURS = {"SQS_QUEUE_URL", "USE_SECRET_MANAGER", "WORKER_CONCURRENCY"}
"""A container that gets one of these is a worker; beside it there may be others."""


@dataclass(frozen=True, slots=True)
class Manifests:
    """What the files hold, by name; `problems` are the files that can't be read."""

    scaled: list[Mapping[str, Any]] = field(default_factory=list)
    deployments: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    maps: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    problems: list[CheckResult] = field(default_factory=list)

    def environment(self, container: Mapping[str, Any]) -> dict[str, str]:
        """What a container gets, as far as it is in the files."""
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
        """The containers of Deployment `name` that are a worker, with what they get."""
        deployment = self.deployments.get(name)
        for container in items(at(deployment, "spec", "template", "spec", "containers")):
            environ = self.environment(container)
            if environ.keys() & OURS:
                yield container, environ


def checks(files: list[Path]) -> list[Check]:
    """One check over all files; none without files."""
    needs = ("sqs_queue_url", "sqs_region")
    return [Check(NAME, needs, partial(compare, files))] if files else []


def compare(files: list[Path], known: Known) -> list[CheckResult]:
    """The files that can't be read, then a few rows for each ScaledObject and Deployment."""
    try:
        found = read(files)
    except ImportError:
        return [unknown(NAME, "there is no YAML parser here", "pip install pyyaml, and ask again")]
    rows = list(found.problems)
    for scaled in found.scaled:
        target = str(at(scaled, "spec", "scaleTargetRef", "name"))
        environ = {k: v for _, one in found.workers(target) for k, v in one.items()}
        rows += keda.check_scaled_object(scaled, environ, known)
    for name in found.deployments:
        for container, environ in found.workers(name):
            rows += _worker(f"Deployment {name}", container, environ, known)
    if not rows:
        advice = "name the files that hold the ScaledObject and the Deployment"
        rows.append(unknown(NAME, "no ScaledObject and no worker's Deployment is in them", advice))
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
        detail = "its SQS_QUEUE_URL is not in the files"
        advice = f"{RENDERED}; a secret can't be seen here"
        yield unknown(check, detail, advice)
    region = environ.get("SQS_REGION") or environ.get("AWS_REGION")
    if region and region != (ours := queue_region(known)):
        detail = f"it looks for its queue in {region}, which is in {ours}"
        yield failure(check, detail, "correct AWS_REGION (or SQS_REGION) where it is wrong")
    threads = environ.get("WORKER_CONCURRENCY", "")
    given = threads.isascii() and threads.isdigit()
    count = int(threads) if given else known.get("worker_concurrency")
    limit = quantity(at(container, "resources", "limits", "memory"))
    if limit is not None and count is not None:
        yield machine.check_limit(check, limit, count)


def read(files: Iterable[Path]) -> Manifests:
    """All documents of all files; lists are taken apart. Raises ImportError: no YAML parser."""
    import yaml  # type: ignore[import-untyped]  # noqa: PLC0415 -- no dependency of the worker

    found = Manifests()
    for file in files:
        try:
            place = Path("/dev/stdin") if file == STDIN else file
            documents = list(yaml.safe_load_all(place.read_text(encoding="utf-8")))
        except OSError as error:
            detail = f"{file} can't be read: {error.strerror}"
            found.problems.append(failure(NAME, detail, "name a file that is there"))
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            found.problems.append(failure(NAME, f"{file} is no YAML: {error}", RENDERED))
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
