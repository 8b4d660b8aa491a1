"""Real workers, scaled by the real KEDA on a backlog of everything that can be in a queue."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from reservation_worker.simulator.processes.child import poll_until
from reservation_worker.simulator.reconcile.report import Report
from reservation_worker.simulator.story.scenario import build
from tests.cluster.harness.account import Account
from tests.cluster.harness.cgroup import size
from tests.cluster.harness.cluster import Cluster, Said
from tests.cluster.harness.container import ProcessContainer
from tests.cluster.harness.pod import End

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

EVENTS = 3000
log = logging.getLogger("cluster")


@dataclass
class Run:
    """What was seen of a backlog, from no pods to no pods."""

    replicas: list[int] = field(default_factory=list)
    again: tuple[Said, int, int] | None = None
    """The second apply at 4 pods, and the replicas before and after it."""
    report: Report = field(default_factory=Report)
    ends: list[End] = field(default_factory=list)


@pytest.fixture(scope="module")
def run(cluster: Cluster, account: Account, at_none: Callable[[], None]) -> Run:
    assert cluster.apply("workers").code == 0
    at_none()
    cluster.kubelet.runtime = ProcessContainer
    before = len(cluster.kubelet.ends())
    story, seen = build(EVENTS, seed=7), Run()

    def until(done: Callable[[], bool], seconds: float, what: str) -> None:
        def look() -> bool:
            wanted = cluster.wanted()
            if seen.replicas[-1:] != [wanted]:
                seen.replicas.append(wanted)
                log.info("%d pods are wanted, %d messages left", wanted, account.depth())
            return done()

        assert poll_until(look, seconds, 0.5), f"after {seconds:g} s still not: {what}"
        log.info("%s", what)

    account.neighbours.seed(story.seeds, story.pools)
    # Slow enough that one pod has not settled all before the autoscaler looks again, 15 s later.
    account.neighbours.latency(400, 50)
    until(lambda: True, 1, f"publishing {len(story.messages)} messages at no pods")
    account.publish(story.phase(0))
    until(lambda: cluster.ready() == 4, 120, "4 pods are ready")
    first = cluster.wanted()
    seen.again = (cluster.apply("workers"), first, cluster.wanted())
    until(lambda: account.depth() == 0, 300, "all but the late payments are settled")
    account.publish(story.phase(1))
    until(lambda: account.depth() == 0, 120, "the late payments are settled")
    until(lambda: cluster.wanted() == 0 == cluster.pods(), 240, "no pods are left")
    seen.report = account.reconcile(story)
    seen.ends = cluster.kubelet.ends()[before:]
    return seen


def test_keda_scales_from_none_to_four_and_back_to_none(run: Run) -> None:
    assert run.replicas[0] == run.replicas[-1] == 0
    assert max(run.replicas) == 4


def test_every_event_of_the_backlog_is_settled_once_and_no_seat_is_sold_twice(run: Run) -> None:
    assert not any(run.report.defects.values()), run.report.defects
    assert run.report.ok


def test_a_second_apply_at_four_pods_leaves_four(run: Run) -> None:
    assert run.again is not None
    said, before, after = run.again
    assert (said.code, said.err) == (0, "")
    assert (before, after) == (4, 4)


def test_every_worker_exits_with_0_within_its_grace_period(run: Run) -> None:
    assert len(run.ends) >= 4
    for end in run.ends:
        assert end.after is not None, f"{end.pod} ended by itself"
        assert (end.exit_code, end.after < end.grace) == (0, True), end


def test_a_worker_stays_below_the_manifests_memory_at_half_a_cpu(run: Run) -> None:
    peaks = sorted(end.peak for end in run.ends)
    log.info("peak memory of the workers: %s MiB", [round(peak / 2**20) for peak in peaks])
    if not all(peaks):
        pytest.skip("no control group can limit memory here, or the kernel counts no peak (5.19)")
    assert peaks[-1] < size("256Mi")
