"""Notifications through a real SNS topic, and a topic that hangs while every event is settled."""

import signal
import socket

import pytest

from reservation_worker.simulator.sqs.emulator import REGION
from tests.world import World, until

pytestmark = pytest.mark.usefixtures("unmeasured")


def test_each_settled_event_is_published_to_the_topic_once(world: World) -> None:
    topic, url = world.subscribed_topic()
    ids = world.seed(12)
    world.expire([*ids, *ids[:3]])
    worker = world.run_worker(NOTIFICATION_TOPIC_ARN=topic)
    until(world.empty, 60, "everything is settled")
    worker.signal(signal.SIGTERM)
    assert worker.wait(60) == 0

    sent = world.notifications(url)
    assert sorted(one["id"] for one in sent) == sorted(f"reservation_expired:{rid}" for rid in ids)
    assert {one["event_id"] for one in sent} == {"show"}


def test_a_topic_that_never_answers_prevents_no_settlement(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as deaf:
        ids = world.seed(50)
        world.expire(ids)
        worker = world.run_worker(
            NOTIFICATION_TOPIC_ARN=f"arn:aws:sns:{REGION}:000000000000:customers",
            AWS_ENDPOINT_URL_SNS=f"http://127.0.0.1:{deaf.getsockname()[1]}",
        )
        until(world.empty, 60, "everything is settled")
        assert len(world.released()) == 50
        worker.signal(signal.SIGTERM)
        assert worker.wait(15) == 0  # of SHUTDOWN_TIMEOUT's 30
