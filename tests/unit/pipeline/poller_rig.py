"""A poller on real parts."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

from reservation_worker.clock import Clocks
from reservation_worker.errors import TransientError
from reservation_worker.pipeline.breakers import Breakers, ProbedBreaker
from reservation_worker.pipeline.custody import Custody
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.dispatcher import Dispatcher
from reservation_worker.pipeline.leases import Leases
from reservation_worker.pipeline.poller import Poller
from reservation_worker.resilience.breaker import Breaker
from tests.fake_queue import PATIENCE, FakeClock, FakeQueue, eventually, new_metrics

VISIBILITY = 30


WAIT = 20


class CountingBreakers(Breakers):
    """Counts how often the poller has looked at it."""

    looks = 0

    def limit(self) -> int | None:
        self.looks += 1
        return super().limit()


class PollerRig:
    """A poller on real parts; messages stay in work until `let_go`."""

    def __init__(self, concurrency: int = 20, wait: int = WAIT) -> None:
        self.clock = FakeClock()
        self.queue = FakeQueue(self.clock, VISIBILITY)
        self.metrics = new_metrics()
        self.leases = Leases(self.queue, VISIBILITY, self.clock, self.metrics)
        self.custody = Custody(self.clock)
        self.breaker = Breaker("inventory", self.clock, lambda: 0.5)
        self.neighbour_down = False
        self.breakers = CountingBreakers({"inventory": ProbedBreaker(self.breaker, self.probe)})
        self.taken: list[Delivery] = []
        self.given_back: list[Delivery] = []
        self._go = threading.Event()
        self.dispatcher = Dispatcher(concurrency, self._work, self.clock)
        self.poller = Poller(
            self.queue,
            self.dispatcher,
            self.breakers,
            self.custody,
            self.leases,
            self.metrics,
            self._give_back,
            wait,
            Clocks(self.clock),
        )

    def _work(self, delivery: Delivery) -> None:
        self.taken.append(delivery)
        assert self._go.wait(PATIENCE)

    def _give_back(self, deliveries: Iterable[Delivery]) -> None:
        self.given_back += deliveries

    def probe(self, timeout: float) -> None:
        if self.neighbour_down:
            raise TransientError("refused")

    def open_breaker(self) -> None:
        for number in range(10):
            self.breaker.record(self.breaker.admit(), f"m{number}", ok=False)

    def start(self) -> None:
        self.poller.start()

    def taken_one(self) -> Delivery:
        """The first delivery that was handed on."""
        eventually(lambda: self.taken)
        return self.taken[0]

    @property
    def receives(self) -> list[tuple[Any, ...]]:
        """Limit and wait of each receive so far."""
        return self.queue.calls("receive")

    def some_rounds(self) -> None:
        """The poller has looked whether to receive a few times more."""
        before = self.breakers.looks
        eventually(lambda: self.breakers.looks >= before + 3)

    def let_go(self) -> None:
        self._go.set()

    def end(self) -> None:
        self.let_go()
        self.poller.stop()
        self.dispatcher.close()
        self.clock.advance(WAIT)
        assert self.poller.join(PATIENCE)
        self.dispatcher.shutdown()


MakePoller = Callable[..., PollerRig]
