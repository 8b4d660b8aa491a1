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

EVENTS = 3000
log = logging.getLogger("cluster")


def test_a_kill_a_drain_and_a_rollout_restart_lose_and_double_nothing(
    cluster: Cluster, account: Account, at_none: Callable[[], None]
) -> None:
    assert cluster.apply("workers").code == 0
    at_none()
    cluster.kubelet.runtime = ProcessContainer
    story = build(EVENTS, seed=11)
    account.neighbours.seed(story.seeds, story.pools)
    account.neighbours.latency(100, 20)
    account.publish(story.phase(0))
    assert poll_until(lambda: len(cluster.kubelet.running()) == 4, 120, 0.5)
    before = len(cluster.kubelet.ends())

    def kubectl(*arguments: str) -> None:
        log.info("kubectl %s, %d messages are left", " ".join(arguments), account.depth())
        said = cluster.kubectl("--namespace", NAMESPACE, *arguments)
        assert said.code == 0, said.err

    victim = cluster.kubelet.running()[0]
    log.info("SIGKILL for %s, %d messages are left", victim.name, account.depth())
    kill(victim)
    node = victim.node
    kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s")
    kubectl("uncordon", node)
    kubectl("rollout", "restart", "deployment/reservation-worker")
    assert account.depth() > 0, "the load was over before the disruptions"
    kubectl("rollout", "status", "deployment/reservation-worker", "--timeout=180s")
    assert poll_until(lambda: account.depth() == 0, 300, 0.5)
    account.publish(story.phase(1))
    assert poll_until(lambda: account.depth() == 0, 120, 0.5)
    report = account.reconcile(story)
    assert report.defects == dict.fromkeys(report.defects, ())
    assert report.ok
    ends = cluster.kubelet.ends()[before:]
    assert [end.exit_code for end in ends if end.after is None] == [-signal.SIGKILL]
    assert {end.exit_code for end in ends if end.after is not None} == {0}


def kill(pod: Pod) -> None:
    """As the kernel's out-of-memory killer does."""
    assert pod.container is not None
    pod.container.signal(signal.SIGKILL)
