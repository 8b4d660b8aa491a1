"""One cluster for all tests here, where its programs are built and root runs the tests."""

import logging
from collections.abc import Callable, Iterator

import pytest

from reservation_worker.simulator.processes.child import poll_until
from tests.cluster.harness.account import Account, Neighbours, Sqs
from tests.cluster.harness.build import cache, is_built
from tests.cluster.harness.cluster import Cluster
from tests.deploy.conftest import image  # noqa: F401
from tests.deploy.tools import lacking, need

log = logging.getLogger("cluster")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    need("ip", "setpriv", "diff", root=True)
    if not is_built(cache()):
        lacking("the cluster's programs are not built: make cluster-test builds them")
    with Cluster(cache()) as made:
        yield made


@pytest.fixture(scope="session")
def sqs(cluster: Cluster) -> Iterator[Sqs]:
    with Sqs(cluster.folder) as made:
        yield made


@pytest.fixture(scope="module")
def account(cluster: Cluster, sqs: Sqs) -> Iterator[Account]:
    """The queue, empty, and neighbours that know nothing yet."""
    sqs.purge()
    with Neighbours(cluster.folder, latency_ms=40) as neighbours:
        yield Account(sqs, neighbours)


@pytest.fixture(scope="module")
def at_none(cluster: Cluster, sqs: Sqs) -> Callable[[], None]:
    """Call it to empty the queue and to wait until KEDA has taken all pods away."""

    def wait() -> None:
        sqs.purge()
        log.info("waiting for 0 pods")
        assert poll_until(lambda: cluster.wanted() == 0 == cluster.pods(), 240, 0.5)

    return wait
