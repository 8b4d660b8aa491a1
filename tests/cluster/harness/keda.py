"""KEDA: its own manifests, and its three programs as processes in place of pods."""

import base64
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from reservation_worker.simulator.processes.child import poll_until
from reservation_worker.simulator.sqs.emulator import CREDENTIALS
from tests.cluster.harness.api import Api, Json
from tests.cluster.harness.control_plane import Program
from tests.cluster.harness.network import HOST

_ACCOUNT = "/api/v1/namespaces/keda/serviceaccounts/keda-operator"
_METRICS = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io"
_PORTS = {
    "keda-operator": ("metricsservice", 9666),
    "keda-metrics-apiserver": ("https", 6443),
    "keda-admission-webhooks": ("https", 9443),
}


def manifests(folder: Path, ca: Path) -> list[Json]:
    """KEDA's, with Services that lead to this machine and clients that trust `ca`."""
    bundle = base64.b64encode(ca.read_bytes()).decode()
    objects: list[Json] = []
    for path in sorted(folder.glob("*.yaml")):
        objects += (one for one in yaml.safe_load_all(path.read_text()) if one)
    for one in objects:
        if one["kind"] == "APIService":
            one["spec"]["caBundle"] = bundle
        for webhook in one.get("webhooks", []):
            webhook["clientConfig"]["caBundle"] = bundle
        if one["kind"] == "Service":
            del one["spec"]["selector"]
    return [*objects, *(_endpoints(name, *port) for name, port in _PORTS.items())]


def _endpoints(service: str, name: str, port: int) -> Json:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-process",
            "namespace": "keda",
            "labels": {
                "kubernetes.io/service-name": service,
                "endpointslice.kubernetes.io/managed-by": "cluster-test",
            },
        },
        "addressType": "IPv4",
        "ports": [{"name": name, "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [HOST], "conditions": {"ready": True}}],
    }


def start_keda(programs: Path, folder: Path, api: Api, ends: ExitStack) -> None:
    """Start its programs, its manifests being applied, and wait until they serve metrics."""
    pki = folder / "pki"
    request = {"spec": {"expirationSeconds": 12 * 3600}}
    token = api.create(f"{_ACCOUNT}/token", request)["status"]["token"]
    (pki / "keda.token").write_text(token)
    config = f"{pki}/keda.conf"
    env = CREDENTIALS | {
        "KUBECONFIG": config,
        "POD_NAMESPACE": "keda",
        "POD_NAME": "keda-operator",
        "WATCH_NAMESPACE": "",
        "KEDA_CLUSTER_OBJECT_NAMESPACE": "keda",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    common = {"zap-log-level": "info", "cert-dir": f"{pki}/keda"}
    flags: dict[str, dict[str, Any]] = {
        "keda-operator": {"enable-cert-rotation": "false", "zap-encoder": "console"},
        "keda-adapter": {
            "client-ca-file": f"{pki}/ca.crt",
            "tls-cert-file": f"{pki}/keda/tls.crt",
            "tls-private-key-file": f"{pki}/keda/tls.key",
            "bind-address": HOST,
            "secure-port": "6443",
            "port": "8090",
            "metrics-service-address": f"{HOST}:9666",
            "authentication-kubeconfig": config,
            "authorization-kubeconfig": config,
            "lister-kubeconfig": config,
        },
        "keda-webhooks": {
            "metrics-bind-address": ":8091",
            "health-probe-bind-address": ":8092",
        },
    }
    for name, own in flags.items():
        ends.enter_context(Program(programs / name, common | own, env, folder))
    assert poll_until(lambda: _available(api), 120, 0.2), "KEDA serves no metrics"


def _available(api: Api) -> bool:
    conditions = api.get(_METRICS).get("status", {}).get("conditions", [])
    return any(one["type"] == "Available" and one["status"] == "True" for one in conditions)
