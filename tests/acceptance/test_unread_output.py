"""A worker whose stdout and stderr are one full pipe that nobody reads."""

import os
import signal
from collections.abc import Iterator

import pytest

from reservation_worker.simulator.processes.worker import WorkerProcess
from tests.unit.observability.test_log_writer import full_pipe
from tests.world import World, until

pytestmark = pytest.mark.usefixtures("unmeasured")

EVENTS = 200


@pytest.fixture
def worker(world: World) -> Iterator[WorkerProcess]:
    reader, writer = full_pipe()
    made = world.worker({"SQS_WAIT_TIME": "1", "SHUTDOWN_TIMEOUT": "12", "LOG_LEVEL": "debug"}, "w")
    made.command = ["sh", "-c", 'exec "$@" 2>&1', "sh", *made.command]
    made.open_stdout = lambda: os.fdopen(os.dup(writer), "wb", buffering=0)
    yield made
    os.close(reader)
    os.close(writer)


def test_every_event_is_settled_and_health_stays_green(world: World, worker: WorkerProcess) -> None:
    ids = world.seed(EVENTS)
    world.expire(ids)
    worker.start()
    until(world.empty, 60, "every event is settled")
    assert set(world.released().values()) == {1}
    assert len(world.released()) == EVENTS
    assert worker.health()[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_under_load_each_signal_drains_and_ends_it(
    world: World, worker: WorkerProcess, number: int
) -> None:
    world.neighbours.latency(100)
    world.expire(world.seed(EVENTS))
    worker.start()
    until(lambda: len(world.released()) > 50, 60, "work is under way")
    worker.signal(number)
    # Its own watchdog would end it with 1 after SHUTDOWN_TIMEOUT.
    assert worker.wait(60) == 0
    visible, in_flight = world.counts()
    assert in_flight == 0
    assert len(world.released()) + visible == EVENTS


def test_a_worker_without_stdout_and_stderr_works_and_stops(world: World) -> None:
    worker = world.worker({"SQS_WAIT_TIME": "1"}, "closed")
    worker.command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *worker.command]
    world.expire(world.seed(10))
    worker.start()
    until(world.empty, 60, "every event is settled")
    worker.signal(signal.SIGTERM)
    assert worker.wait(60) == 0
