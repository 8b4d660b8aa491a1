"""One contract for every service that is started and stopped."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from flask import Flask

from reservation_worker.clock import Clocks
from reservation_worker.pipeline.breakers import Breakers
from reservation_worker.pipeline.custody import Custody
from reservation_worker.pipeline.deleter import Deleter
from reservation_worker.pipeline.dispatcher import Dispatcher
from reservation_worker.pipeline.leases import Leases
from reservation_worker.pipeline.poller import Poller
from reservation_worker.servers.health import HealthServer
from reservation_worker.status.history import History
from tests.fake_queue import PATIENCE, FakeQueue, eventually, new_metrics
from tests.integration.worker_rig import Worker

THREADS = {
    "Leases": ["leases"],
    "History": ["history"],
    "Deleter": ["deleter"],
    "Poller": ["poller"],
    "HealthServer": ["health"],
    "DebugServer": [],
    "Worker": ["leases", "history", "deleter", "poller", "health"],
}


class Service:
    """The common interface of all services."""

    def __init__(self, kind: str) -> None:
        self._before = set(threading.enumerate())
        self._threads = THREADS[kind]
        self._debug_ports: list[int] = []
        queue, metrics = FakeQueue(), new_metrics()
        leases = Leases(queue, 30, queue.clock, metrics)
        self.stop: Callable[[], object]
        if kind == "Worker":
            made = Worker()
            self._debug_ports = [made.app.debug.port]
            self.start, self.stop = made.app.start, made.stop
            return
        if kind == "Leases":
            part: Any = leases
            self.stop = part.stop
        elif kind == "History":
            part = History(metrics, lambda: 0, lambda: 0, queue.clock, queue.clock)
            self.stop = part.stop
        elif kind == "Deleter":
            part = Deleter(queue, Custody(queue.clock), metrics, lambda delivery: True)
            self.stop = lambda: part.stop(PATIENCE)
        elif kind == "DebugServer":
            part = Worker().app.debug
            self._debug_ports = [part.port]
            self.stop = lambda: part.stop(PATIENCE)
        elif kind == "HealthServer":
            part = HealthServer(Flask("x"), "127.0.0.1", 0)
            self.stop = lambda: part.stop(PATIENCE)
        else:
            dispatcher = Dispatcher(1, lambda delivery: None, queue.clock)
            part = Poller(
                queue,
                dispatcher,
                Breakers({}),
                Custody(queue.clock),
                leases,
                metrics,
                lambda deliveries: None,
                1,
                Clocks(queue.clock, queue.clock),
            )

            def stop() -> None:
                part.stop()
                queue.end_polls()
                assert part.join(PATIENCE)

            self.stop = stop
        self.start = part.start

    @property
    def alive(self) -> list[bool]:
        """Whether each of its threads runs, and whether its debug server answers."""
        names = {thread.name for thread in threading.enumerate() if thread not in self._before}
        threads = [name in names for name in self._threads]
        return threads + [answers(port) for port in self._debug_ports]


def answers(port: int) -> bool:
    """Whether a gRPC server takes calls there."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=0.5)
        except grpc.FutureTimeoutError:
            return False
        return True


@pytest.fixture(params=THREADS)
def service(request: pytest.FixtureRequest) -> Service:
    return Service(request.param)


def test_a_service_runs_from_its_start_to_its_stop(service: Service) -> None:
    assert not any(service.alive)
    service.start()
    eventually(lambda: all(service.alive))
    service.stop()
    eventually(lambda: not any(service.alive))


def test_a_second_stop_is_safe(service: Service) -> None:
    service.start()
    service.stop()
    service.stop()
    eventually(lambda: not any(service.alive))


def test_a_stop_before_the_start_is_safe(service: Service) -> None:
    service.stop()
    service.stop()
    assert not any(service.alive)


def test_many_stops_at_once_are_safe(service: Service) -> None:
    service.start()
    with ThreadPoolExecutor(4) as pool:
        for stop in [pool.submit(service.stop) for _ in range(4)]:
            stop.result(PATIENCE)
    eventually(lambda: not any(service.alive))
