"""The CPU that a real worker's threads run on."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from reservation_worker.cli.run.one_cpu import allowed
from tests.world import World, until

pytestmark = pytest.mark.usefixtures("unmeasured")


@pytest.mark.skipif(len(allowed()) < 2, reason="only one CPU here")
@pytest.mark.parametrize(("given", "cpus"), [("true", 1), ("false", len(allowed()))])
def test_all_threads_of_a_worker_stay_on_one_cpu_unless_configured_otherwise(
    world: World, given: str, cpus: int
):
    world.expire(world.seed(20))
    worker = world.run_worker(WORKER_ONE_CPU=given)
    until(lambda: len(world.released()) == 20, 60, "every event is settled")

    def together() -> bool:
        # The worker may be moving its threads just now, so ask again.
        found = []
        for task in Path(f"/proc/{worker.pid}/task").iterdir():
            with suppress(ProcessLookupError):
                found.append(os.sched_getaffinity(int(task.name)))
        return len(found) > 20 and all(one == found[0] and len(one) == cpus for one in found)

    until(together, 30, f"all threads on {cpus}")
