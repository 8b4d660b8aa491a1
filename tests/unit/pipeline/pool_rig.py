"""A dispatcher whose work blocks until a test releases it."""

import json
import threading
from collections.abc import Callable

from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.dispatcher import Dispatcher
from reservation_worker.pipeline.leases import Lease
from reservation_worker.sqs.queue import Message
from tests.fake_queue import PATIENCE, FakeClock, event_body, eventually, opened

NO_WAIT = 0.0


def lasting(receipt: str, at: float) -> Lease:
    return Lease(receipt, float("inf"))


def delivery(number: int, reservation: str = "", kind: str = "reservation.expired") -> Delivery:
    body = event_body(kind, reservation or f"rsv_{number}")
    return opened(Message(f"m{number}", f"m{number}#1", body), 0.0, lasting)


def large(number: int, size: int) -> Delivery:
    detail = {"reservation_id": f"rsv_{number}", "note": "x" * size}
    body = json.dumps({"type": "reservation.expired", "detail": detail})
    return opened(Message(f"m{number}", f"m{number}#1", body), 0.0, lasting)


def some(count: int, first: int = 0) -> list[Delivery]:
    return [delivery(number) for number in range(first, first + count)]


class Pool:
    """A dispatcher whose work blocks until it is released, one delivery or all."""

    def __init__(self, concurrency: int) -> None:
        self.clock = FakeClock()
        self.began: list[Delivery] = []
        self.ended: list[Delivery] = []
        self._go: dict[Delivery, threading.Event] = {}
        self._all = False
        self._lock = threading.Lock()
        self.dispatcher = Dispatcher(concurrency, self._work, self.clock)

    def _work(self, one: Delivery) -> None:
        go = self._gate(one)
        with self._lock:
            self.began.append(one)
        assert go.wait(PATIENCE)
        with self._lock:
            self.ended.append(one)

    def _gate(self, one: Delivery) -> threading.Event:
        with self._lock:
            go = self._go.setdefault(one, threading.Event())
            if self._all:
                go.set()
            return go

    def let_go(self, *deliveries: Delivery) -> None:
        for one in deliveries:
            self._gate(one).set()

    def let_all_go(self) -> None:
        with self._lock:
            self._all = True
            for go in self._go.values():
                go.set()

    def accept(self, deliveries: list[Delivery], running: int | None = None) -> None:
        """Accept all, and wait until `running` (else as many as can) have begun."""
        assert self.dispatcher.accept(deliveries) == []
        wanted = len(deliveries) if running is None else running
        eventually(lambda: self.dispatcher.busy == wanted)

    def idle(self) -> None:
        eventually(lambda: self.dispatcher.in_flight == 0)


MakePool = Callable[[int], Pool]
