"""What the API server says of the manifests."""

import json
import re

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from reservation_worker.simulator.processes.child import poll_until
from tests.cluster.harness.cluster import NAMESPACE, OVERLAYS, Cluster, Said
from tests.deploy.tools import K8S

METRIC = "keda_scaler_metrics_value"
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def applied(cluster: Cluster) -> Said:
    return cluster.apply("workers")


@pytest.mark.parametrize("folder", ["base", "tacos-app"])
def test_the_other_manifests_are_accepted_without_a_rejection_or_a_warning(
    cluster: Cluster, folder: str
) -> None:
    path = str(K8S / "deploy" / folder)
    said = cluster.kubectl("apply", "--server-side", "--dry-run=server", "-k", path)
    assert (said.code, said.err) == (0, "")


def test_the_operators_pod_is_accepted_without_a_rejection_or_a_warning(cluster: Cluster) -> None:
    # For true: a dry run makes no service account, without which a pod is refused.
    path = str(K8S / "deploy" / "operator")
    said = cluster.kubectl("apply", "--server-side", "-k", path)
    cluster.kubectl("delete", "--ignore-not-found", "-k", path)
    assert (said.code, said.err) == (0, "")


def test_production_is_applied_without_a_rejection_or_a_warning(applied: Said) -> None:
    assert (applied.code, applied.err) == (0, "")
    assert "scaledobject.keda.sh/reservation-worker-scaler serverside-applied" in applied.out


def test_its_pods_pass_pod_security_restricted(cluster: Cluster, applied: Said) -> None:
    template = cluster.api.get(
        f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/reservation-worker"
    )["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}}

    def refusal(spec: dict[str, object]) -> str:
        text = json.dumps({**pod, "spec": spec})
        arguments = ("create", "--dry-run=server", "--namespace", NAMESPACE, "-f", "-")
        return cluster.kubectl(*arguments, stdin=text).err

    assert refusal(template["spec"]) == ""
    assert 'violates PodSecurity "restricted' in refusal({**template["spec"], "hostNetwork": True})


def test_keda_makes_its_autoscaler_and_takes_the_first_pod_away(
    cluster: Cluster, applied: Said, sqs: object
) -> None:
    hpa = f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers"
    name = "keda-hpa-reservation-worker-scaler"
    assert poll_until(lambda: cluster.api.find(f"{hpa}/{name}") is not None, 60)
    assert poll_until(lambda: cluster.wanted() == 0, 120)


def test_kubectl_finds_no_difference_after_the_apply(cluster: Cluster, applied: Said) -> None:
    said = cluster.kubectl("diff", "--server-side", "-k", str(OVERLAYS / "workers"))
    assert said == Said(0, "", "")


def test_the_alerts_are_tested_with_the_labels_that_keda_gives_its_metric(
    cluster: Cluster, applied: Said
) -> None:
    def labels() -> dict[str, str] | None:
        text = cluster.keda_metrics()
        families = text_string_to_metric_families(text)
        found = [one.samples[0].labels for one in families if one.name == METRIC]
        return found[0] if found else None

    assert poll_until(lambda: labels() is not None, 60)
    cases = yaml.safe_load((K8S / "monitoring/tests/BacklogWithoutWorker.yaml").read_text())
    series = cases["tests"][0]["input_series"][0]["series"]
    tested = dict(re.findall(r'(\w+)="([^"]*)"', series))
    # Prometheus adds the target's job and namespace, and keeps the metric's own as another label.
    assert (tested.pop("job"), tested.pop("namespace")) == ("keda-operator", "keda")
    tested["namespace"] = tested.pop("exported_namespace")
    assert tested == labels()
