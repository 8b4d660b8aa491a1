"""The queue and the pods: messages in groups that arrived together, the oldest received first."""

import heapq
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmarks.capacity.figures import Pod
from benchmarks.capacity.sale import TICK

IN_FLIGHT_LIMIT = 120_000
"""The most messages of a standard queue in flight; beyond it receives come back empty."""


@dataclass(frozen=True)
class Retries:
    """The share of the tries that give their message back for `delay` seconds."""

    share: float
    delay: float


@dataclass
class Fleet:
    """Pods and queue. `starting` holds the times at which pods that still start become ready."""

    pod: Pod
    retries: Retries | None = None
    arrived: int = 0
    settled: int = 0
    waiting: int = 0
    in_work: int = 0
    delayed: int = 0
    ready: int = 0
    starting: list[float] = field(default_factory=list)
    delays: list[tuple[float, float, int]] = field(default_factory=list)
    _waiting: deque[tuple[float, int]] = field(default_factory=deque)
    _in_work: deque[tuple[float, int]] = field(default_factory=deque)
    _delayed: list[tuple[float, float, int]] = field(default_factory=list)
    _budget: float = 0.0
    _owed: float = 0.0

    @property
    def pods(self) -> int:
        """Pods that exist, ready or not."""
        return self.ready + len(self.starting)

    @property
    def in_flight(self) -> int:
        """Messages that SQS counts as not visible."""
        return self.in_work + self.delayed

    def scale(self, pods: int, ready_at: Iterable[float]) -> None:
        """Change the number of pods; `ready_at` yields a time for each new one.

        Pods that still start are removed first. The messages of a removed pod wait again.
        """
        times = iter(ready_at)
        while self.pods < pods:
            heapq.heappush(self.starting, next(times))
        while self.pods > pods and self.starting:
            self.starting.remove(max(self.starting))
        self.ready = min(self.ready, pods)
        excess = self.in_work - self.ready * self.pod.slots
        while excess > 0:
            excess -= self._give_back(excess)

    def step(self, now: float, arrivals: int) -> None:
        """One tick: pods become ready, work ends, messages arrive or return, pods receive."""
        while self.starting and self.starting[0] <= now:
            heapq.heappop(self.starting)
            self.ready += 1
        self._work(now)
        while self._delayed and self._delayed[0][0] <= now:
            _, arrived_at, count = heapq.heappop(self._delayed)
            self.delayed -= count
            self.waiting += count
            self._waiting.append((arrived_at, count))
        if arrivals:
            self.arrived += arrivals
            self.waiting += arrivals
            self._waiting.append((now, arrivals))
        self._receive()

    def _work(self, now: float) -> None:
        # Only messages received in an earlier tick. Unused capacity is lost, except for a fraction
        # of an event, so that low rates add up.
        self._budget = self._budget % 1 + self.ready * self.pod.rate * TICK
        room = min(int(self._budget), self.in_work)
        self._budget -= room
        self.in_work -= room
        for arrived_at, count in _take(self._in_work, room):
            settled = count - self._give_back_later(now, arrived_at, count)
            self.settled += settled
            if settled:
                self.delays.append((now, now - arrived_at, settled))

    def _give_back_later(self, now: float, arrived_at: float, count: int) -> int:
        if self.retries is None:
            return 0
        self._owed += count * self.retries.share
        failed = min(count, math.floor(self._owed))
        self._owed -= failed
        if failed:
            heapq.heappush(self._delayed, (now + self.retries.delay, arrived_at, failed))
            self.delayed += failed
        return failed

    def _receive(self) -> None:
        room = min(
            self.ready * self.pod.slots - self.in_work,
            IN_FLIGHT_LIMIT - self.in_flight,
            self.waiting,
        )
        if room > 0:
            self._in_work.extend(_take(self._waiting, room))
            self.waiting -= room
            self.in_work += room

    def _give_back(self, most: int) -> int:
        arrived_at, count = self._in_work.pop()
        given = min(count, most)
        if count > given:
            self._in_work.append((arrived_at, count - given))
        self._waiting.appendleft((arrived_at, given))
        self.in_work -= given
        self.waiting += given
        return given


def _take(groups: deque[tuple[float, int]], count: int) -> list[tuple[float, int]]:
    taken = []
    while count:
        arrived_at, there = groups.popleft()
        part = min(there, count)
        taken.append((arrived_at, part))
        if there > part:
            groups.appendleft((arrived_at, there - part))
        count -= part
    return taken
