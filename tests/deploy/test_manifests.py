"""The manifests against the worker that they run: names, numbers and references."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from reservation_worker.config.settings import Settings
from reservation_worker.config.sources import READ_BY_LIBRARIES
from reservation_worker.config.variables import VARIABLES
from tests.deploy.manifests import Manifests

# Read by glibc, not by the worker.
RUNTIME = {"MALLOC_ARENA_MAX"}
DEFAULTS = {variable.name: variable.default for variable in VARIABLES}


@pytest.fixture(scope="module", params=["base", "production", "tacos-app"])
def manifests(request: pytest.FixtureRequest) -> Manifests:
    return Manifests(request.param)


def test_every_variable_is_one_that_the_worker_its_sdks_or_the_runtime_reads(
    manifests: Manifests,
) -> None:
    for name in manifests.environment():
        assert name in DEFAULTS or name in RUNTIME or name.startswith(READ_BY_LIBRARIES), name


def test_the_worker_accepts_its_environment(manifests: Manifests) -> None:
    settings = Settings.from_mapping(manifests.environment())
    assert settings.pod_name == "reservation-worker-7c9f-x2"
    assert settings.worker_concurrency == 50


def test_the_pod_may_take_15_seconds_longer_to_end_than_the_worker(manifests: Manifests) -> None:
    settings = Settings.from_mapping(manifests.environment())
    assert manifests.pod["terminationGracePeriodSeconds"] == settings.shutdown_timeout + 15
    assert "lifecycle" not in manifests.worker


def test_keda_measures_the_queue_that_the_worker_works_on(manifests: Manifests) -> None:
    spec = manifests["ScaledObject"]["spec"]
    settings = Settings.from_mapping(manifests.environment())
    [trigger] = spec["triggers"]
    assert trigger["metadata"] == {
        "queueURL": settings.sqs_queue_url,
        "awsRegion": settings.sqs_region,
        "queueLength": "10",
        "scaleOnInFlight": "true",
    }
    assert trigger["type"] == "aws-sqs-queue"
    assert spec["scaleTargetRef"] == {"name": manifests["Deployment"]["metadata"]["name"]}
    assert (
        trigger["authenticationRef"]["name"]
        == (manifests["TriggerAuthentication"]["metadata"]["name"])
    )
    assert (spec["minReplicaCount"], spec["maxReplicaCount"], spec["cooldownPeriod"]) == (0, 50, 60)


def test_the_number_of_pods_is_keda_s_alone(manifests: Manifests) -> None:
    assert "replicas" not in manifests["Deployment"]["spec"]


def test_ports_are_the_ones_listened_on_and_only_http_is_offered(manifests: Manifests) -> None:
    settings = Settings.from_mapping(manifests.environment())
    ports = {port["name"]: port["containerPort"] for port in manifests.worker["ports"]}
    assert ports == {"http": settings.server_port, "grpc": settings.grpc_debug_port}
    assert settings.grpc_debug_host == "127.0.0.1"
    [offered] = manifests["Service"]["spec"]["ports"]
    assert (offered["port"], offered["targetPort"]) == (settings.server_port, "http")
    for rule in manifests["NetworkPolicy"]["spec"]["ingress"]:
        assert rule["ports"] == [{"port": settings.server_port}]


def test_the_network_policy_lets_the_worker_reach_its_neighbours(manifests: Manifests) -> None:
    settings = Settings.from_mapping(manifests.environment())
    for address in (settings.inventory_grpc_addr, settings.reservation_api_base):
        host, _, port = address.rpartition("/")[2].rpartition(":")
        assert int(port) in manifests.admitted(host), address
    everywhere = {
        port["port"]
        for rule in manifests["NetworkPolicy"]["spec"]["egress"]
        for port in rule["ports"]
    }
    assert {53, 443, 4317} <= everywhere


def test_probes_ask_the_workers_paths_and_wait_for_the_startup_probe_only(
    manifests: Manifests,
) -> None:
    probes = {
        name: manifests.worker[f"{name}Probe"] for name in ("startup", "liveness", "readiness")
    }
    assert {name: probe["httpGet"]["path"] for name, probe in probes.items()} == {
        "startup": "/health",
        "liveness": "/health",
        "readiness": "/ready",
    }
    assert [probe["periodSeconds"] for probe in probes.values()] == [2, 30, 10]
    assert not [name for name, probe in probes.items() if "initialDelaySeconds" in probe]


def test_a_pod_gets_its_cpu_and_memory(manifests: Manifests) -> None:
    resources = manifests.worker["resources"]
    assert resources["requests"] | {"cpu": "250m", "memory": "128Mi"} == resources["requests"]
    assert resources["limits"] | {"cpu": "500m", "memory": "256Mi"} == resources["limits"]


def test_every_selector_finds_the_pods_of_the_deployment(manifests: Manifests) -> None:
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert labels["app"] == "reservation-worker"
    selectors = {
        "Deployment": manifests["Deployment"]["spec"]["selector"]["matchLabels"],
        "Service": manifests["Service"]["spec"]["selector"],
        "PodDisruptionBudget": manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        "NetworkPolicy": manifests["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        **{
            f"spread over {spread['topologyKey']}": spread["labelSelector"]["matchLabels"]
            for spread in manifests.pod["topologySpreadConstraints"]
        },
    }
    for name, selector in selectors.items():
        assert selector.items() <= labels.items(), name
    monitor = manifests["ServiceMonitor"]["spec"]["selector"]["matchLabels"]
    assert monitor.items() <= manifests["Service"]["metadata"]["labels"].items()


def test_every_object_is_in_one_namespace_which_the_manifests_do_not_create(
    manifests: Manifests,
) -> None:
    [namespace] = {made["metadata"]["namespace"] for made in manifests.objects}
    assert namespace in {"traffic-tacos", "tacos-app"}
    assert "Namespace" not in {made["kind"] for made in manifests.objects}


def test_a_change_of_the_configuration_is_a_rollout(manifests: Manifests) -> None:
    [env] = [one for one in manifests.worker["env"] if one["name"] == "SQS_QUEUE_URL"]
    name = env["valueFrom"]["configMapKeyRef"]["name"]
    assert re.fullmatch(r"reservation-worker-config-\w{10}", name)
    [immutable] = [m["immutable"] for m in manifests.objects if m["metadata"]["name"] == name]
    assert immutable is True


def test_the_pod_conforms_to_the_restricted_standard(manifests: Manifests) -> None:
    pod, worker = manifests.pod, manifests.worker["securityContext"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert worker == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert not _hosts(pod)


def _hosts(pod: Mapping[str, Any]) -> set[str]:
    return {key for key in ("hostNetwork", "hostPID", "hostIPC", "volumes") if key in pod}
