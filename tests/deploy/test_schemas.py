"""The manifests by the schemas of Kubernetes, KEDA and the Prometheus operator, strictly."""

import shutil
import subprocess
from copy import deepcopy
from pathlib import Path

import pytest

from tests.deploy.tools import Objects, lacking, rendered, strict_problems

PACKAGES = (
    "kubernetes-models@5.1.0",
    "@kubernetes-models/keda@2.0.0",
    "@kubernetes-models/prometheus-operator@6.0.0",
)


pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The schemas' packages, fetched for this run only."""
    folder = tmp_path_factory.mktemp("schemas")
    npm = shutil.which("npm")
    if npm is None:
        lacking("npm, which brings the schemas, is not installed")
    options = [
        "--loglevel=error",
        "--no-audit",
        # A connection that hangs is given up in time for another try.
        "--fetch-timeout=20000",
        "--fetch-retries=4",
        "--fetch-retry-mintimeout=1000",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
        str(folder),
    ]
    ended = subprocess.run(
        [npm, "install", *options, *PACKAGES], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        lacking(f"npm could not fetch the schemas: {ended.stderr[-500:]}")
    return folder


@pytest.mark.parametrize("folder", ["base", "production", "tacos-app", "operator"])
def test_every_object_fits_its_schema_and_has_no_unknown_field(folder: str, modules: Path) -> None:
    assert strict_problems(rendered(f"deploy/{folder}"), modules) == []


def test_a_misspelt_field_a_wrong_type_and_an_unknown_kind_are_found(modules: Path) -> None:
    objects = {made["kind"]: made for made in deepcopy(rendered("deploy/production"))}
    objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    objects["ScaledObject"]["spec"]["fallback"]["behaviour"] = "static"
    objects["ScaledObject"]["spec"]["maxReplicaCount"] = "many"
    objects["ServiceMonitor"]["spec"]["endpoints"][0]["timeout"] = "3s"
    objects["TriggerAuthentication"]["apiVersion"] = "keda.sh/v1"
    wrong: Objects = list(objects.values())

    found = strict_problems(wrong, modules)

    assert len(found) == 5, found
    for part in ("livenesProbe", "behaviour", "maxReplicaCount", "timeout", "keda.sh/v1"):
        assert any(part in problem for problem in found), part
