"""Signals sent to a real worker under load."""

import signal

import pytest

from tests.world import World, until

pytestmark = pytest.mark.usefixtures("unmeasured")

EVENTS = 400


def test_a_stop_under_load_settles_or_gives_back_every_message_whatever_signals_follow(
    world: World,
):
    world.neighbours.latency(100)
    world.expire(world.seed(EVENTS))
    worker = world.run_worker()
    until(lambda: len(world.released()) > 50, 60, "work is under way")

    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
        worker.signal(number)
    assert worker.wait(60) == 0

    # No message waits for its timeout: each unsettled one is visible at once.
    visible, in_flight = world.counts()
    assert in_flight == 0
    released = world.released()
    assert visible > 0, "the load was over before the signal"
    assert len(released) + visible == EVENTS
    assert set(released.values()) == {1}
    assert worker.log_lines()[-1]["msg"].startswith("stopped in")


def test_a_call_that_hangs_does_not_hold_up_the_stop_and_its_message_comes_back(world: World):
    (hanging,) = world.seed(1)
    world.neighbours.hang("inventory")
    world.expire([hanging])
    worker = world.run_worker(SHUTDOWN_TIMEOUT="10", CALL_TIMEOUT="30")
    until(lambda: world.neighbours.health()["inventory"]["hanging"] == 1, 60, "the call hangs")

    worker.signal(signal.SIGTERM)
    assert worker.wait(15) == 0
    # The call may take effect until its deadline; no other worker gets the message before.
    assert world.counts() == (0, 1)
    assert world.neighbours.ledger()["reservations"][hanging]["status"] == "EXPIRED"


def test_an_idle_worker_stops_when_its_long_poll_ends(world: World):
    worker = world.run_worker(SQS_WAIT_TIME="2")
    worker.ready()
    worker.signal(signal.SIGINT)
    assert worker.wait(15) == 0
