"""Neighbours that hang or are down: other messages go on, the DLQ stays empty, /ready names why."""

import pytest

from tests.world import World, until

pytestmark = pytest.mark.usefixtures("unmeasured")


def test_a_neighbour_that_hangs_for_some_messages_does_not_hold_up_the_others(world: World):
    stuck = world.seed(3, "stuck")
    good = world.seed(100, "good")
    world.neighbours.hang("inventory", stuck)
    world.expire(stuck + good)
    worker = world.run_worker(CALL_TIMEOUT="2")
    until(lambda: len(world.released()) == len(good), 60, "the others are settled")
    assert set(world.released()) == set(good)
    retried = {"type": "expired", "outcome": "retried"}
    until(
        lambda: worker.metrics().value("worker_events_total", **retried) >= len(stuck),
        30,
        "the stuck ones ran into their deadline and were given back",
    )

    world.neighbours.clear()
    until(lambda: len(world.released()) == 103, 60, "the stuck ones follow")
    until(world.empty, 10, "the queue is empty")
    assert set(world.released().values()) == {1}
    assert world.dead_letters() == []


def test_when_every_call_hangs_the_breaker_opens_ready_is_red_and_health_green(world: World):
    ids = world.seed(60)
    world.neighbours.hang("both")
    world.expire(ids)
    worker = world.run_worker(CALL_TIMEOUT="1")
    until(
        lambda: (
            worker.probe("/ready")[0] == 503
            and "breaker_reservation_api" in worker.probe("/ready")[1].get("failing", [])
        ),
        30,
        "/ready names the breaker",
    )
    assert worker.health()[0] == 200
    assert worker.metrics().value("worker_breaker_state", neighbour="reservation_api") == 2

    world.neighbours.clear()
    until(lambda: len(world.released()) == len(ids), 60, "all are settled")
    until(world.empty, 10, "the queue is empty")
    until(lambda: worker.probe("/ready")[0] == 200, 10, "/ready is green again")
    assert world.dead_letters() == []


def test_an_outage_of_inventory_fills_no_dead_letter_queue_and_nearly_stops_the_receives(
    world: World,
):
    world.neighbours.down("inventory")
    first = world.seed(100, "first")
    world.expire(first)
    worker = world.run_worker()
    until(
        lambda: worker.metrics().value("worker_breaker_state", neighbour="inventory") == 2,
        30,
        "the breaker is open",
    )
    # While the breaker is open nothing is received, however large the backlog is.
    world.expire(world.seed(100, "second"))
    before = worker.metrics().value("sqs_receives_total")
    until(
        lambda: any("still down" in line["msg"] for line in worker.log_lines()),
        30,
        "a probe failed",
    )
    assert worker.metrics().value("sqs_receives_total") - before <= 2
    assert world.counts(world.dlq_url) == (0, 0)

    world.neighbours.clear()
    until(lambda: len(world.released()) == 200, 60, "all are settled")
    until(world.empty, 10, "the queue is empty")
    assert set(world.released().values()) == {1}
    assert world.dead_letters() == []
