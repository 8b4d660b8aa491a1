"""What a cluster does to pods while they work."""

import logging
import signal
from collections.abc import Callable

import pytest

from reservation_worker.simulator.processes.child import poll_until
from reservation_worker.simulator.story.scenario import build
from tests.cluster.harness.account import Account
from tests.cluster.harness.cluster import NAMESPACE, Cluster
from tests.cluster.harness.container import ProcessContainer
from tests.cluster.harness.pod import Pod

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

EVENTS = 2000
log = logging.getLogger("cluster")


def test_a_kill_a_drain_and_a_rollout_restart_lose_and_double_nothing(
    cluster: Cluster, account: Account, at_none: Callable[[], None]
) -> None:
    assert cluster.apply("workers").code == 0
    at_none()
    cluster.kubelet.runtime = ProcessContainer
    before = len(cluster.kubelet.ends())
    story = build(EVENTS, seed=11)
    account.neighbours.seed(story.seeds, story.pools)
    # Slow enough that there is still work when the last disruption comes.
    account.neighbours.latency(400, 50)
    account.publish(story.phase(0))

    def kubectl(*arguments: str) -> None:
        log.info("kubectl %s: %d messages are left", " ".join(arguments), account.depth())
        said = cluster.kubectl("--namespace", NAMESPACE, *arguments)
        assert said.code == 0, said.err

    running = cluster.kubelet.running
    assert poll_until(lambda: bool(running()), 60), "no pod is ready"
    # First of all: what it held comes back when its visibility timeout is over, in 60 s.
    log.info("SIGKILL for %s: %d messages are left", running()[0].name, account.depth())
    kill(running()[0])
    assert poll_until(lambda: len(running()) == 4, 120), "there are not 4 pods"
    node = running()[0].node
    kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s")
    kubectl("uncordon", node)
    kubectl("rollout", "restart", "deployment/reservation-worker")
    assert account.depth() > 0, "the load was over before the last disruption"
    kubectl("rollout", "status", "deployment/reservation-worker", "--timeout=180s")
    assert poll_until(lambda: account.depth() == 0, 300, 0.5), "not all is settled"
    account.publish(story.phase(1))
    assert poll_until(lambda: account.depth() == 0, 120, 0.5), "the late payments are not settled"
    log.info("all is settled")
    report = account.reconcile(story)
    assert not any(report.defects.values()), report.defects
    assert report.ok
    ends = cluster.kubelet.ends()[before:]
    assert [end.exit_code for end in ends if end.after is None] == [-signal.SIGKILL]
    assert {end.exit_code for end in ends if end.after is not None} == {0}


def kill(pod: Pod) -> None:
    """As the kernel does when memory runs out."""
    assert pod.container is not None
    pod.container.signal(signal.SIGKILL)
