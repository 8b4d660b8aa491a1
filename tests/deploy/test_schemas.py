"""The manifests against the schemas of Kubernetes, KEDA and the Prometheus operator."""

import shutil
import subprocess
import tempfile
from copy import deepcopy
from pathlib import Path

import pytest

from tests.deploy.tools import ROOT, Objects, lacking, rendered, strict_problems

PACKAGES = (
    "kubernetes-models@5.1.0",
    "@kubernetes-models/keda@2.0.0",
    "@kubernetes-models/prometheus-operator@6.0.0",
)


pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def modules() -> Path:
    """The folder with the schemas' packages, kept below build/ for later runs."""
    kept = ROOT / "build" / "-".join(["schemas", *(one.rpartition("@")[2] for one in PACKAGES)])
    if kept.exists():
        return kept
    npm = shutil.which("npm")
    if npm is None:
        lacking("npm, which brings the schemas, is not installed")
    kept.parent.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="schemas-", dir=kept.parent))
    options = [
        "--loglevel=error",
        "--no-audit",
        # A hanging connection ends in time for another try.
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
        shutil.rmtree(folder)
        lacking(f"npm could not fetch the schemas: {ended.stderr[-500:]}")
    # Only a whole installation gets the name; another run may have made it meanwhile.
    return kept if kept.exists() else folder.rename(kept)


@pytest.mark.parametrize("folder", ["base", "production", "tacos-app", "operator"])
def test_every_object_fits_its_schema_and_has_no_unknown_field(folder: str, modules: Path) -> None:
    assert strict_problems(rendered(folder), modules) == []


def test_a_misspelt_field_a_wrong_type_and_an_unknown_kind_are_found(modules: Path) -> None:
    objects = {made["kind"]: made for made in deepcopy(rendered("production"))}
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
