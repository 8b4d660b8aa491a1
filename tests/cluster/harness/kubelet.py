"""A kubelet for three nodes, one in each zone: it makes the pods that are bound to them."""

import itertools
import logging
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import requests

from tests.cluster.harness.api import Api, Json
from tests.cluster.harness.container import FakeContainer, Runtime
from tests.cluster.harness.pod import End, Pod

NODES = {f"node-{zone}": f"ap-northeast-2{zone}" for zone in "abc"}
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
log = logging.getLogger("cluster")


class Kubelet:
    """Starts its threads in the caller's network. `runtime` is for pods that are made from now on.

    A real one makes sure of more: volumes, seccomp, images, and one node is one machine.
    """

    def __init__(self, api: Api, version: str, logs: Path) -> None:
        self._api, self._logs = api, logs
        logs.mkdir()
        self.runtime: Runtime = FakeContainer
        self.pods: dict[str, Pod] = {}
        self._gone: list[Pod] = []
        self._numbers = itertools.count(1)
        self._stop = threading.Event()
        for name, zone in NODES.items():
            self._register(name, zone, version)
        for target in (self._renew, self._follow):
            threading.Thread(target=target, daemon=True).start()

    def running(self) -> list[Pod]:
        """The pods whose container runs and is ready."""
        return [pod for pod in list(self.pods.values()) if pod.ready]

    def ends(self) -> list[End]:
        """All containers that have ended so far."""
        return [end for pod in [*self._gone, *self.pods.values()] for end in pod.ends]

    def close(self) -> None:
        """End all pods, without their grace."""
        self._stop.set()
        for pod in list(self.pods.values()):
            pod.delete(0)
            pod.thread.join(20)

    def _register(self, name: str, zone: str, version: str) -> None:
        labels = {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone}
        self._api.create("/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})
        room = {"cpu": "16", "memory": "64Gi", "pods": "110", "ephemeral-storage": "100Gi"}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
        status = {"capacity": room, "allocatable": room, "conditions": [ready]}
        status |= {"nodeInfo": _node_info(version)}
        self._api.patch(f"/api/v1/nodes/{name}/status", {"status": status})
        lease = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": _stamp()}
        self._api.create(_LEASES, {"metadata": {"name": name}, "spec": lease})

    def _renew(self) -> None:
        while not self._stop.wait(10):
            try:
                for name in NODES:
                    self._api.patch(f"{_LEASES}/{name}", {"spec": {"renewTime": _stamp()}})
            except requests.RequestException as error:
                log.warning("the nodes' leases are not renewed: %s", error)

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                for event in self._api.watch("/api/v1/pods", 600):
                    self._see(event)
            except requests.RequestException as error:
                if not self._stop.is_set():
                    log.warning("the watch on pods broke: %s", error)
                    time.sleep(1)

    def _see(self, event: Json) -> None:
        if event["type"] == "ERROR":
            raise requests.RequestException(event["object"].get("message"))
        made, meta = event["object"], event["object"]["metadata"]
        uid = meta.get("uid")
        if event["type"] == "DELETED":
            if pod := self.pods.pop(uid, None):
                self._gone.append(pod)
                pod.delete(0)
            return
        if made["spec"].get("nodeName") not in NODES:
            return
        if uid not in self.pods and not meta.get("deletionTimestamp"):
            number = next(self._numbers)
            self.pods[uid] = Pod(self._api, made, number, self.runtime, self._logs)
        if uid in self.pods and meta.get("deletionTimestamp"):
            self.pods[uid].delete(meta["deletionGracePeriodSeconds"])


def _node_info(version: str) -> dict[str, str]:
    names = ("bootID", "kernelVersion", "machineID", "osImage", "systemUUID", "kubeProxyVersion")
    said = dict.fromkeys(names, "")
    said |= {"architecture": "amd64", "operatingSystem": "linux", "kubeletVersion": version}
    return said | {"containerRuntimeVersion": "process://1"}


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
