"""One pod's life on a node: container, probes, restarts, grace period, and its status."""

import datetime
import logging
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.cluster.harness.api import Api, Json
from tests.cluster.harness.container import Container, FakeContainer, Order, Runtime

_TICK = 0.1
log = logging.getLogger("cluster")


@dataclass(frozen=True)
class End:
    """How a container ended. `after`: seconds since its SIGTERM, None if it had none."""

    pod: str
    exit_code: int
    peak: int
    after: float | None
    grace: float


class Pod:
    """Runs until it is deleted; call `delete` when the API says so."""

    def __init__(self, api: Api, made: Json, number: int, runtime: Runtime, logs: Path) -> None:
        self._api, self._made, self._runtime = api, made, runtime
        self.name: str = made["metadata"]["name"]
        self.node: str = made["spec"]["nodeName"]
        self._number, self._logs = number, logs
        # Fifty fakes have nothing to say.
        self._say = log.debug if runtime is FakeContainer else log.info
        [self._spec] = made["spec"]["containers"]
        self._path = f"/api/v1/namespaces/{made['metadata']['namespace']}/pods/{self.name}"
        self._deleted = threading.Event()
        self._grace = 30.0
        self._restarts = 0
        self._ready_since: str | None = None
        self.ready = False
        self.container: Container | None = None
        self.ends: list[End] = []
        self.thread = threading.Thread(target=self._live, name=self.name, daemon=True)
        self.thread.start()

    def delete(self, grace: float) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds."""
        self._grace = grace
        self._deleted.set()

    def _live(self) -> None:
        state: Json = {}
        while not self._deleted.is_set():
            began = time.monotonic()
            try:
                self.container = self._runtime(self._order())
            except Exception:
                log.exception("%s can't start", self.name)
                self._report("Pending", {"waiting": {"reason": "CreateContainerError"}})
                self._deleted.wait(5)
                continue
            end = self._run(self.container, began)
            self.ends.append(end)
            reason = "Completed" if end.exit_code == 0 else "Error"
            state = {"terminated": {"exitCode": _shown(end.exit_code), "reason": reason}}
            self._ready(False, state)
            if not self._deleted.is_set():
                log.info("%s ended by itself, exit code %d", self.name, end.exit_code)
                # At once at first, then after 10, 20, 40 ... s, as the kubelet does.
                self._deleted.wait(min(300, 10 * 2 ** (self._restarts - 1)) * (self._restarts > 0))
                self._restarts += 1
        clean = all(end.exit_code == 0 for end in self.ends[-1:])
        self._report("Succeeded" if clean else "Failed", state)
        uid = {"uid": self._made["metadata"]["uid"]}
        try:
            self._api.delete(self._path, {"gracePeriodSeconds": 0, "preconditions": uid})
        except requests.HTTPError as error:
            if error.response.status_code not in (404, 409):
                raise

    def _run(self, container: Container, began: float) -> End:
        """Probe the container until it ends, by itself or because the pod is deleted."""
        self._running = {"running": {"startedAt": _now()}}
        self._report("Running", self._running)
        stopped: float | None = None
        try:
            due = self._probes(container, began)
            while container.ended() is None and not self._deleted.is_set():
                next(due)
                self._deleted.wait(_TICK)
            if container.ended() is None:
                stopped = time.monotonic()
                container.signal(signal.SIGTERM)
                while container.ended() is None and time.monotonic() - stopped < self._grace:
                    time.sleep(_TICK / 2)
        finally:
            after = None if stopped is None else time.monotonic() - stopped
            code = container.ended()
            container.close()
        if stopped is not None:
            mib = container.peak / 2**20
            self._say("%s ended %.1f s after SIGTERM: %s, %.0f MiB", self.name, after, code, mib)
        return End(self.name, -9 if code is None else code, container.peak, after, self._grace)

    def _probes(self, container: Container, began: float) -> Iterator[None]:
        """A generator: each step makes the probes that are due."""
        startup = self._spec.get("startupProbe")
        failed, due = 0, began
        while startup:
            if time.monotonic() >= due:
                due += startup["periodSeconds"]
                if self._answers(container, startup):
                    break
                failed += 1
                if failed >= startup["failureThreshold"]:
                    log.info("%s did not start in time", self.name)
                    container.signal(signal.SIGTERM)
            yield
        self._say("%s answers %.1f s after its start", self.name, time.monotonic() - began)
        plans = []
        for kind in ("livenessProbe", "readinessProbe"):
            if probe := self._spec.get(kind):
                first = began + probe.get("initialDelaySeconds", 0)
                plans.append([kind, probe, max(first, time.monotonic()), 0])
        while True:
            for plan in plans:
                kind, probe, due, failed = plan
                if time.monotonic() < due:
                    continue
                good = self._answers(container, probe)
                plan[2] = due + probe["periodSeconds"]
                plan[3] = failed = 0 if good else failed + 1
                over = failed >= probe.get("failureThreshold", 3)
                if kind == "readinessProbe" and good != self.ready and (good or over):
                    self._ready(good, self._running)
                if kind == "livenessProbe" and over:
                    log.info("%s is not alive", self.name)
                    container.signal(signal.SIGTERM)
            yield

    def _answers(self, container: Container, probe: Json) -> bool:
        asked = probe["httpGet"]
        port = asked["port"]
        if isinstance(port, str):
            [port] = (p["containerPort"] for p in self._spec["ports"] if p["name"] == port)
        return container.answers(port, asked["path"], probe["timeoutSeconds"])

    def _ready(self, ready: bool, state: Json) -> None:
        if ready != self.ready:
            self.ready, self._ready_since = ready, _now()
        self._report("Running", state)

    def _order(self) -> Order:
        env = {entry["name"]: self._value(entry) for entry in self._spec.get("env", [])}
        context = self._made["spec"].get("securityContext", {})
        user = context.get("runAsUser", 0)
        to = self._logs / f"{self.name}.log"
        return Order(self.name, self._number, self._spec, user, env, to)

    def _value(self, entry: Json) -> str:
        source = entry.get("valueFrom", {})
        if field := source.get("fieldRef"):
            assert field["fieldPath"] == "metadata.name"
            return self.name
        if key := source.get("configMapKeyRef"):
            namespace = self._path.rpartition("/pods/")[0]
            data: Json = self._api.get(f"{namespace}/configmaps/{key['name']}")["data"]
            return str(data[key["key"]])
        return str(entry.get("value", ""))

    def _report(self, phase: str, state: Json) -> None:
        """Write the pod's status; a pod that is gone has none."""
        began = self._made["metadata"]["creationTimestamp"]
        address = self.container.address if self.container else ""
        conditions = {"PodScheduled": True, "Initialized": True}
        conditions |= {"ContainersReady": self.ready, "Ready": self.ready}
        status: Json = {
            "phase": phase,
            "startTime": began,
            "conditions": [
                {
                    "type": kind,
                    "status": str(value),
                    "lastTransitionTime": (self._ready_since or began)
                    if "Ready" in kind
                    else began,
                }
                for kind, value in conditions.items()
            ],
            "containerStatuses": [
                {
                    "name": self._spec["name"],
                    "image": self._spec["image"],
                    "imageID": "",
                    "ready": self.ready,
                    "started": self.ready,
                    "restartCount": self._restarts,
                    "state": state,
                }
            ],
        }
        if address:
            status |= {"podIP": address, "podIPs": [{"ip": address}]}
        try:
            self._api.patch(f"{self._path}/status", {"status": status})
        except requests.HTTPError as error:
            if error.response.status_code != 404:
                log.warning("%s", error)


def _shown(code: int) -> int:
    """As a container's runtime counts it: 128 and the signal's number."""
    return code if code >= 0 else 128 - code


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
