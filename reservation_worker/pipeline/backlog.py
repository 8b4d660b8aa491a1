"""What waits for a thread: two priorities, and one at a time for each key. No locks, no threads."""

from collections import deque

from reservation_worker.pipeline.delivery import Delivery


class Backlog:
    """Deliveries that were received and not started; the dispatcher's lock guards it."""

    def __init__(self) -> None:
        self._ready: tuple[deque[Delivery], deque[Delivery]] = (deque(), deque())
        # Keys taken (by who is ready, or runs) and who waits behind each.
        self._behind: dict[str, deque[Delivery]] = {}

    def __len__(self) -> int:
        """How many could start now."""
        return len(self._ready[0]) + len(self._ready[1])

    def __contains__(self, key: str) -> bool:
        """Whether a key is taken."""
        return key in self._behind

    def push(self, delivery: Delivery) -> bool:
        """Add one; true if it could start now, false if it waits for another of its key."""
        if not self.take(delivery.key):
            self._behind[delivery.key].append(delivery)
            return False
        self._make_ready(delivery)
        return True

    def take(self, key: str) -> bool:
        """Let who comes with `key` wait until it is `done`; false if it is taken already."""
        if key in self:
            return False
        self._behind[key] = deque()
        return True

    def pop(self) -> Delivery:
        """The best that waits: payments approved first. Raises IndexError when none does."""
        return (self._ready[0] or self._ready[1]).popleft()

    def done(self, key: str) -> bool:
        """The one who had `key` has ended; true if another with it can start now."""
        behind = self._behind[key]
        if not behind:
            del self._behind[key]
            return False
        self._make_ready(behind.popleft())
        return True

    def waiting_for(self, key: str) -> list[Delivery]:
        """The deliveries that wait until the one that has `key` ends."""
        return list(self._behind[key])

    def lapsed(self, now: float) -> list[Delivery]:
        """Take out who waits behind another and whose lease is over: SQS hands it out again."""
        out = []
        for key, behind in self._behind.items():
            out += [one for one in behind if one.lease.deadline <= now]
            self._behind[key] = deque(one for one in behind if one.lease.deadline > now)
        return out

    def drain(self) -> list[Delivery]:
        """Take out everything that has not started."""
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
