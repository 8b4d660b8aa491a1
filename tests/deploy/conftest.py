"""The image, built once for the tests that run it, and an AWS account for each module."""

from collections.abc import Iterator

import pytest

from tests.deploy.cloud import Cloud, cloud
from tests.deploy.tools import ROOT, need, run
from tests.world import World

BASE = "localhost/reservation-worker-base"
IMAGE = "localhost/reservation-worker"
# Python and the other packages of a Python base image.
PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image's name. It needs no registry: its base is made of Debian's own packages."""
    need("buildah", "podman", "runc", "debootstrap", root=True)
    if not run("buildah", "images", "--quiet", "--filter", f"reference={BASE}"):
        tree = tmp_path_factory.mktemp("debian")
        run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(tree))
        container = run("buildah", "from", "scratch").strip()
        run("buildah", "add", container, str(tree), "/")
        run("buildah", "commit", "--rm", container, BASE)
    run(
        *("buildah", "build", "--layers", "--isolation=chroot", "--network=host", "--pull-never"),
        *("--format=docker", f"--build-arg=PYTHON_IMAGE={BASE}", "--build-arg=VERSION=test"),
        # This machine's certificates, which its route to the package index may need.
        *("--volume=/etc/ssl/certs:/etc/ssl/certs:ro", f"--tag={IMAGE}", str(ROOT)),
    )
    return IMAGE


@pytest.fixture(autouse=True, scope="module")
def not_measured(unmeasured: None) -> None:
    """The acceptance tests measure the coverage of the same processes."""


@pytest.fixture
def world() -> Iterator[World]:
    with World() as made:
        yield made


@pytest.fixture(scope="module")
def aws() -> Iterator[Cloud]:
    with pytest.MonkeyPatch.context() as patch, cloud(patch) as made:
        yield made
