"""Leases over a fake queue."""

import threading
from collections.abc import Callable

from reservation_worker.pipeline.leases import Lease, Leases
from tests.fake_queue import FakeClock, FakeQueue, new_metrics

VISIBILITY = 30


CALL = 10.0


class LeaseRig:
    """Leases over a fake queue that has handed out `count` messages just now."""

    def __init__(self, count: int = 1, visibility: int = VISIBILITY) -> None:
        self.clock = FakeClock()
        self.queue = FakeQueue(self.clock, visibility)
        self.metrics = new_metrics()
        self.leases = Leases(self.queue, visibility, self.clock, self.metrics)
        for _ in range(count):
            self.queue.send()
        self.all: list[Lease] = []
        while len(self.all) < count:
            self.all += [
                self.leases.open(message.receipt, self.clock())
                for message in self.queue.receive(10, 0)
            ]
        self.one = self.all[0]

    @property
    def renewals(self) -> list[tuple[str, ...]]:
        """The receipts of each renewal so far."""
        return [receipts for receipts, _ in self.queue.calls("change_visibility")]

    def left(self, lease: Lease) -> float:
        return lease.deadline - self.clock()


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
