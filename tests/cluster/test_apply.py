"""What the API server says of the manifests."""

import json

import pytest

from reservation_worker.simulator.processes.child import poll_until
from tests.cluster.harness.cluster import NAMESPACE, OVERLAYS, Cluster, Said
from tests.deploy.tools import K8S

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def applied(cluster: Cluster) -> Said:
    return cluster.apply("workers")


def test_the_base_is_accepted_without_a_rejection_or_a_warning(cluster: Cluster) -> None:
    folder = str(K8S / "deploy" / "base")
    said = cluster.kubectl("apply", "--server-side", "--dry-run=server", "-k", folder)
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
