"""The ledger of custody: received messages that this worker must still settle or give back."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.leases import Lease


class Ending(StrEnum):
    """How custody of a delivery ends. Each delivery has one ending at most."""

    DELETED = "deleted"
    GIVEN_BACK = "given back"
    # The lease is over or the receipt is void: another worker has the message, or will have it.
    LOST = "lost"


class Custody:
    """Holds every received delivery under one lock until its ending is proved.

    A delivery that is *left* gets no further treatment: SQS delivers it again when its lease
    ends, and until then it counts as open. `clock` gives monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        # By lease, because a body may be large. The value is whether the delivery is claimed.
        self._held: dict[Lease, bool] = {}
        self._left: dict[Lease, None] = {}
        self._receives = 0
        self.endings: Counter[Ending] = Counter()

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """Count a receive under way: SQS may have handed out messages that are not known yet."""
        with self._lock:
            self._receives += 1
        try:
            yield
        finally:
            with self._lock:
                self._receives -= 1

    def take(self, deliveries: Iterable[Delivery]) -> None:
        """Begin custody of deliveries that have just been received."""
        with self._lock:
            self._held.update((delivery.lease, False) for delivery in deliveries)

    def claim(self, delivery: Delivery) -> bool:
        """Reserve the right to carry out an outcome: true once, for a pool thread or the stop."""
        with self._lock:
            if self._held.get(delivery.lease, True):
                return False
            self._held[delivery.lease] = True
            return True

    def end(self, delivery: Delivery, ending: Ending) -> bool:
        """End custody; false, and nothing changes, if it has ended already."""
        lease = delivery.lease
        with self._lock:
            if lease in self._held:
                del self._held[lease]
            elif lease in self._left:
                del self._left[lease]
            else:
                return False
            self.endings[ending] += 1
            return True

    def leave(self, delivery: Delivery) -> None:
        """Give up on a delivery. A call that is still under way may end its custody yet."""
        with self._lock:
            if self._held.pop(delivery.lease, None) is not None:
                self._left[delivery.lease] = None
            # Expired leases are dropped; the oldest are in front.
            now = self._clock()
            while self._left and (first := next(iter(self._left))).deadline <= now:
                del self._left[first]

    def open(self) -> int:
        """How many messages are, or may be, hidden from other workers by one of our leases."""
        with self._lock:
            now = self._clock()
            leases = [*self._held, *self._left]
            return self._receives + sum(now < lease.deadline for lease in leases)
