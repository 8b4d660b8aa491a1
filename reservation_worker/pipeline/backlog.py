"""Deliveries that wait for a thread: two priorities, one at a time for each key. No locks."""

from collections import deque

from reservation_worker.pipeline.delivery import Delivery


class Backlog:
    """Deliveries that were received and not started; the dispatcher's lock guards it."""

    def __init__(self) -> None:
        self._ready: tuple[deque[Delivery], deque[Delivery]] = (deque(), deque())
        # The keys of deliveries that are ready or run, and the deliveries that wait behind each.
        self._behind: dict[str, deque[Delivery]] = {}

    def __len__(self) -> int:
        """How many deliveries could start now."""
        return len(self._ready[0]) + len(self._ready[1])

    def __contains__(self, key: str) -> bool:
        """Whether `key` is taken."""
        return key in self._behind

    def push(self, delivery: Delivery) -> bool:
        """Add a delivery; false if it waits behind another one with its key."""
        if not self.take(delivery.key):
            self._behind[delivery.key].append(delivery)
            return False
        self._make_ready(delivery)
        return True

    def take(self, key: str) -> bool:
        """Make deliveries with `key` wait until it is `done`; false if it is taken already."""
        if key in self:
            return False
        self._behind[key] = deque()
        return True

    def pop(self) -> Delivery:
        """The next delivery to start: approved payments first. Raises IndexError if none is."""
        return (self._ready[0] or self._ready[1]).popleft()

    def done(self, key: str) -> bool:
        """Free `key`; true if another delivery with it can start now."""
        behind = self._behind[key]
        if not behind:
            del self._behind[key]
            return False
        self._make_ready(behind.popleft())
        return True

    def waiting_for(self, key: str) -> list[Delivery]:
        """The deliveries that wait until `key` is free."""
        return list(self._behind[key])

    def lapsed(self, now: float) -> list[Delivery]:
        """Take out waiting deliveries whose lease is over by `now`: SQS delivers them again."""
        out = []
        for key, behind in self._behind.items():
            out += [one for one in behind if one.lease.deadline <= now]
            self._behind[key] = deque(one for one in behind if one.lease.deadline > now)
        return out

    def drain(self) -> list[Delivery]:
        """Take out all deliveries that have not started."""
        waiting = [*self._ready[0], *self._ready[1]]
        for queue in self._ready:
            queue.clear()
        for delivery in tuple(waiting):
            waiting.extend(self._behind.pop(delivery.key))
        for behind in self._behind.values():
            waiting.extend(behind)
            behind.clear()
        return waiting

    def _make_ready(self, delivery: Delivery) -> None:
        self._ready[0 if delivery.urgent else 1].append(delivery)
