"""A whole cluster on this machine: control plane, KEDA, nodes, and the account's SQS."""

import logging
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import yaml

from reservation_worker.simulator.processes.child import poll_until
from reservation_worker.simulator.processes.loopback import Loopback
from tests.cluster.harness.api import Json
from tests.cluster.harness.control_plane import start_control_plane
from tests.cluster.harness.keda import manifests, start_keda
from tests.cluster.harness.kubelet import NODES, Kubelet
from tests.cluster.harness.network import HOST, Network

NAMESPACE = "traffic-tacos"
OVERLAYS = Path(__file__).parents[1] / "overlays"
_DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/reservation-worker"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_FIRST = ("Namespace", "CustomResourceDefinition")
_MODES = ("enforce", "warn", "audit")
log = logging.getLogger("cluster")


class Said(NamedTuple):
    """How a kubectl ended and what it printed."""

    code: int
    out: str
    err: str


class Cluster:
    """Entering starts it, in a network of its own. `programs` is what harness/build.py built."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._ends = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.push(self._ends)
            temporary = tempfile.TemporaryDirectory(prefix="cluster-", ignore_cleanup_errors=True)
            self.folder = Path(self._ends.enter_context(temporary))
            self.network = self._ends.enter_context(Network())
            self._start()
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ends.__exit__(kind, error, trace)

    def _start(self) -> None:
        began = time.monotonic()
        self.api = start_control_plane(self._programs, self.folder, self._ends)
        version = self.api.get("/version")["gitVersion"]
        log.info("Kubernetes %s works after %.1f s", version, time.monotonic() - began)
        objects = manifests(self._programs / "keda", self.folder / "pki" / "ca.crt")
        for path in sorted((self._programs / "monitoring").glob("*.yaml")):
            objects += yaml.safe_load_all(path.read_text())
        self.apply_objects([one for one in objects if one["kind"] in _FIRST])
        self.apply_objects([one for one in objects if one["kind"] not in _FIRST])
        labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in _MODES}
        for name in (NAMESPACE, "tacos-app"):
            namespace = {"metadata": {"name": name, "labels": labels}}
            self.api.create("/api/v1/namespaces", namespace)
        start_keda(self._programs, self.folder, self.api, self._ends)
        self.kubelet = Kubelet(self.api, version, self.folder / "pods")
        self._ends.callback(self.kubelet.close)
        assert poll_until(self._nodes_are_ready, 60), "the nodes are not ready"
        log.info("KEDA and %d nodes work after %.1f s", len(NODES), time.monotonic() - began)

    def kubectl(self, *arguments: str, stdin: str = "") -> Said:
        """Run kubectl as the cluster's administrator."""
        config = f"--kubeconfig={self.folder}/pki/admin.conf"
        command = (str(self._programs / "kubectl"), config, *arguments)
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        return Said(done.returncode, done.stdout, done.stderr)

    def apply_objects(self, objects: list[Json]) -> None:
        """Apply them and wait until the API knows new kinds."""
        text = yaml.safe_dump_all(objects)
        said = self.kubectl("apply", "--server-side", "-f", "-", stdin=text)
        assert said.code == 0, said.err
        kinds = [one for one in objects if one["kind"] == "CustomResourceDefinition"]
        paths = [f"{_CRDS}/{one['metadata']['name']}" for one in kinds]
        assert poll_until(lambda: all(map(self._established, paths)), 30), paths

    def apply(self, overlay: str) -> Said:
        """Apply tests/cluster/overlays/`overlay`, as a deployment does."""
        return self.kubectl("apply", "--server-side", "-k", str(OVERLAYS / overlay))

    def keda_metrics(self) -> str:
        """What KEDA's operator shows to Prometheus."""
        answer = Loopback().answer("GET", f"http://{HOST}:8080/metrics")
        return "" if answer is None else answer.text

    def wanted(self) -> int:
        """The replicas that the Deployment is to have."""
        found = self.api.get(_DEPLOYMENT)["spec"]["replicas"]
        return int(found)

    def ready(self) -> int:
        """The pods that are ready, by the Deployment's status."""
        return int(self.api.get(_DEPLOYMENT)["status"].get("readyReplicas", 0))

    def pods(self) -> int:
        """The pods that there are, those that end included."""
        selector = "labelSelector=app%3Dreservation-worker"
        return len(self.api.get(f"/api/v1/namespaces/{NAMESPACE}/pods?{selector}")["items"])

    def _established(self, path: str) -> bool:
        conditions = self.api.get(path).get("status", {}).get("conditions", [])
        return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

    def _nodes_are_ready(self) -> bool:
        nodes = self.api.get("/api/v1/nodes")["items"]
        return len(nodes) == len(NODES) and not any(node["spec"].get("taints") for node in nodes)
