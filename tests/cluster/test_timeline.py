"""How many pods there are and when: the real KEDA and HPA beside the capacity model.

The pods are fakes and take no messages, so that the depth is what a test makes it.
"""

import logging
import time
from collections.abc import Callable

import pytest

from reservation_worker.simulator.processes.child import poll_until
from tests.cluster.harness.account import Sqs
from tests.cluster.harness.cluster import NAMESPACE, Cluster
from tests.cluster.harness.container import FakeContainer
from tests.cluster.harness.timeline import Sample, compare, record

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]

SCALED = f"/apis/keda.sh/v1alpha1/namespaces/{NAMESPACE}/scaledobjects/reservation-worker-scaler"
# Of all pod-seconds: on a busy machine a poll or a look may come some seconds late.
APART = 0.05
log = logging.getLogger("cluster")


@pytest.fixture(autouse=True)
def fakes(cluster: Cluster, at_none: Callable[[], None]) -> None:
    cluster.kubelet.runtime = FakeContainer
    assert cluster.apply("endpoint").code == 0
    at_none()


@pytest.mark.parametrize(
    ("count", "hold", "then", "most"), [(1, 45, 0, 1), (100, 75, 0, 10), (5000, 100, 100, 50)]
)
def test_the_replicas_follow_the_model_second_by_second(
    cluster: Cluster, sqs: Sqs, count: int, hold: int, then: int, most: int
) -> None:
    def look() -> Sample:
        return Sample(sqs.depth(), cluster.wanted())

    def shrink() -> None:
        sqs.purge()
        sqs.put(then)

    steps = [(2, lambda: sqs.put(count)), (hold, shrink)]
    if then:
        # Down by the HPA's steps, before KEDA takes the rest at once.
        steps.append((hold + 330, sqs.purge))
    samples = record(look, steps, lambda sample: sample == (0, 0), hold + 600)
    found = compare(samples)
    log.info("%d messages\n%s", count, found)
    assert max(sample.replicas for sample in samples) == most
    assert found.apart <= APART, str(found)


def test_two_pods_start_when_the_queue_can_not_be_read_at_none(cluster: Cluster, sqs: Sqs) -> None:
    sqs.stop()
    began = time.monotonic()
    try:
        assert poll_until(lambda: cluster.wanted() > 0, 120, 0.2)
        log.info("the fallback came %.0f s after the queue went", time.monotonic() - began)
        assert poll_until(lambda: cluster.wanted() == 2 == cluster.ready(), 60, 0.2)
    finally:
        sqs.start()


def test_five_pods_stay_when_the_queue_can_not_be_read(cluster: Cluster, sqs: Sqs) -> None:
    sqs.put(50)
    assert poll_until(lambda: cluster.wanted() == 5 == cluster.ready(), 120, 0.2)
    sqs.stop()
    began = time.monotonic()
    seen = []

    def fallen_back() -> bool:
        seen.append(cluster.wanted())
        conditions = cluster.api.get(SCALED)["status"]["conditions"]
        return any(one["type"] == "Fallback" and one["status"] == "True" for one in conditions)

    try:
        assert poll_until(fallen_back, 120, 0.5)
        log.info("the fallback came %.0f s after the queue went", time.monotonic() - began)
        # Past the HPA's stabilisation window, in which nothing would go anyway.
        assert not poll_until(lambda: not fallen_back(), 150, 1)
    finally:
        sqs.start()
    assert set(seen) == {5}
