"""kill -9 at random moments, restarted each time: nothing is lost, nothing is done twice."""

import random

import pytest

from reservation_worker.simulator.story.scenario import build
from tests.world import World, until

pytestmark = pytest.mark.usefixtures("unmeasured")

EVENTS = 150
KILLS = 5


def test_killed_at_random_moments_and_restarted_everything_settles_once():
    dice = random.Random(9)
    story = build(EVENTS, seed=9)
    with World(latency_ms=20, jitter_ms=10, visibility=5, max_receive=1000) as world:
        world.neighbours.seed(story.seeds, story.pools)
        worker = world.run_worker()
        world.publish(story.phase(0))
        for _ in range(KILLS):
            enough = world.calls() + dice.randint(1, 50)
            until(
                lambda enough=enough: world.calls() >= enough or world.empty(), 60, "work goes on"
            )
            worker.kill()
            worker = world.run_worker()
        until(world.empty, 60, "all but the late payments are settled")
        world.publish(story.phase(1))
        until(world.empty, 60, "the late payments are settled")

        report = world.reconcile(story)
        assert report.ok, report.as_dict()
