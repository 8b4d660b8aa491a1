"""The overlays: the names of their clusters, and their network."""

import pytest

from reservation_worker.config.settings import Settings
from reservation_worker.config.variables import VARIABLES
from tests.deploy.manifests import Manifests
from tests.deploy.tools import K8S

DEFAULTS = {variable.name: variable.default for variable in VARIABLES}


@pytest.mark.parametrize(
    ("folder", "namespace", "role", "inventory"),
    [
        ("production", "traffic-tacos", "reservation-worker-role", "inventory-svc:8021"),
        (
            "tacos-app",
            "tacos-app",
            "traffic-tacos-reservation-worker-sa-role",
            "inventory-api:8020",
        ),
    ],
)
def test_an_overlay_has_the_names_of_its_cluster(
    folder: str, namespace: str, role: str, inventory: str
) -> None:
    overlay = Manifests(folder)
    assert overlay["Deployment"]["metadata"]["namespace"] == namespace
    assert overlay.worker["image"] == "ghcr.io/traffic-tacos/reservation-worker:v1.0.0"
    account = overlay["ServiceAccount"]["metadata"]
    assert overlay.pod["serviceAccountName"] == account["name"] == "reservation-worker-sa"
    assert account["annotations"] == {
        "eks.amazonaws.com/role-arn": f"arn:aws:iam::137406935518:role/{role}"
    }
    settings = Settings.from_mapping(overlay.environment())
    assert settings.inventory_grpc_addr == inventory
    assert settings.reservation_api_base == "http://reservation-api:8010"
    assert settings.sqs_queue_url == (
        "https://sqs.ap-northeast-2.amazonaws.com/137406935518/traffic-tacos-reservation-events"
    )


def test_in_the_ambient_mesh_neighbours_are_reached_through_its_port_and_probes_are_let_in() -> (
    None
):
    tacos_app = Manifests("tacos-app")
    assert tacos_app.admitted("inventory-api") == [8020, 15008]
    assert tacos_app.admitted("reservation-api") == [8010, 15008]
    assert tacos_app.admitted("inventory-svc") == []
    peers = [
        peer for rule in tacos_app["NetworkPolicy"]["spec"]["ingress"] for peer in rule["from"]
    ]
    assert {"ipBlock": {"cidr": "169.254.7.127/32"}} in peers


@pytest.mark.parametrize("folder", ["production", "tacos-app"])
def test_the_alerts_name_the_deployed_objects(folder: str) -> None:
    overlay = Manifests(folder)
    rules = (K8S / "monitoring" / "rules.yaml").read_text()
    queue = overlay.environment()["SQS_QUEUE_URL"].rpartition("/")[2]
    assert overlay["ScaledObject"]["metadata"]["name"] in rules
    assert f'"{queue}|"' in rules
    assert f'"{queue}-dlq|"' in rules
    # A stop is slow from 80 % of its time on; a pod is late 15 s before it is killed.
    stop = float(DEFAULTS["SHUTDOWN_TIMEOUT"])
    assert f"worker_drain_seconds[5m])) > {0.8 * stop:g}" in rules
