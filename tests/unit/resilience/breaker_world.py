"""A breaker whose clock and dice are the test's."""

import itertools

from reservation_worker.resilience.breaker import Breaker, State


class World:
    """A breaker with a clock that is moved by hand, dice that are set, and its changes noted."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.dice = 0.5  # the middle: no jitter
        self.changes: list[tuple[str, State]] = []
        self.breaker = Breaker(
            "inventory",
            lambda: self.now,
            lambda: self.dice,
            lambda name, state: self.changes.append((name, state)),
        )
        self._messages = itertools.count()

    def call(self, ok: bool, message: str | None = None, times: int = 1) -> None:
        """So many calls, one after the other, each of a message of its own unless one is named."""
        for _ in range(times):
            ticket = self.breaker.admit()
            self.breaker.record(ticket, message or f"m{next(self._messages)}", ok)

    def open(self) -> None:
        self.call(ok=False, times=10)
        assert self.breaker.state is State.OPEN

    def half_open(self) -> None:
        self.open()
        self.now += self.breaker.remaining()
        self.breaker.probed(ok=True)
        assert self.breaker.state is State.HALF_OPEN

    def fail_probe(self) -> float:
        """Wait until a probe is due and let it fail; returns the open time from then on."""
        self.now += self.breaker.remaining()
        self.breaker.probed(ok=False)
        return self.breaker.remaining()
