"""The project's own image as the pods' container."""

import json
import logging
from collections.abc import Callable

import pytest

from reservation_worker.simulator.processes.child import poll_until
from reservation_worker.simulator.story.scenario import build
from tests.cluster.harness.account import Account
from tests.cluster.harness.cgroup import size
from tests.cluster.harness.cluster import Cluster
from tests.cluster.harness.container import ImageContainer
from tests.deploy.conftest import BASE
from tests.deploy.tools import run

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

EVENTS = 600
log = logging.getLogger("cluster")


def test_the_image_works_as_the_pods_container(
    cluster: Cluster,
    account: Account,
    at_none: Callable[[], None],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log.info("building the image")
    # The packages come from outside the cluster.
    with cluster.network.outside():
        image = request.getfixturevalue("image")
    sizes = [json.loads(run("podman", "image", "inspect", one))[0]["Size"] for one in (image, BASE)]
    log.info("the image: %.1f MB, of which its base %.1f MB", *(one / 1e6 for one in sizes))
    monkeypatch.setattr(ImageContainer, "image", image)
    assert cluster.apply("workers").code == 0
    at_none()
    cluster.kubelet.runtime = ImageContainer
    before = len(cluster.kubelet.ends())
    story = build(EVENTS, seed=13)
    account.neighbours.seed(story.seeds, story.pools)
    account.publish(story.phase(0))
    assert poll_until(lambda: account.depth() == 0, 300, 0.5)
    account.publish(story.phase(1))
    assert poll_until(lambda: account.depth() == 0, 120, 0.5)
    log.info("all is settled; waiting for 0 pods")
    assert poll_until(lambda: cluster.wanted() == 0 == cluster.pods(), 240, 0.5)
    report = account.reconcile(story)
    assert not any(report.defects.values()), report.defects
    ends = cluster.kubelet.ends()[before:]
    assert {end.exit_code for end in ends} == {0}
    peaks = [end.peak for end in ends]
    log.info("peak memory of the containers: %s MiB", [round(peak / 2**20) for peak in peaks])
    assert max(peaks) < size("256Mi")
