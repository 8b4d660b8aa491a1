"""Whether messages may be taken now: the breakers of all neighbours as one gate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from loguru import logger

from reservation_worker.errors import NeighbourDown
from reservation_worker.resilience.breaker import Breaker, State

PROBE_TIMEOUT = 2.0
"""How long a probe of a neighbour may take, in seconds."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """A neighbour's breaker and the probe that touches no message (seconds → None)."""

    breaker: Breaker
    probe: Callable[[float], None]


class Gate:
    """All breakers together: the strictest decides. `probe_due_ones` runs in the poller."""

    def __init__(self, guarded: Mapping[str, Guarded]) -> None:
        self._guarded = guarded

    def breaker(self, neighbour: str) -> Breaker:
        """The breaker that a call of this neighbour must ask."""
        return self._guarded[neighbour].breaker

    def states(self) -> dict[str, State]:
        """The state by neighbour."""
        return {name: guarded.breaker.state for name, guarded in self._guarded.items()}

    def all_closed(self) -> bool:
        """While this is false nobody is dead-lettered for exhaustion (contract, section 5)."""
        return all(state is State.CLOSED for state in self.states().values())

    def any_open(self) -> bool:
        """While this is true nothing is polled and nothing starts."""
        return any(state is State.OPEN for state in self.states().values())

    def limit(self) -> int | None:
        """The most messages in flight; None: no limit, 0: a pause."""
        limits = [guarded.breaker.limit() for guarded in self._guarded.values()]
        return min((limit for limit in limits if limit is not None), default=None)

    def remaining(self) -> float:
        """Seconds until nothing is open any more, at the earliest."""
        return max(guarded.breaker.remaining() for guarded in self._guarded.values())

    def probe_due_ones(self) -> None:
        """Probe each neighbour whose open time is over."""
        for name, guarded in self._guarded.items():
            if not guarded.breaker.probe_due():
                continue
            try:
                guarded.probe(PROBE_TIMEOUT)
            except NeighbourDown as error:
                logger.warning("{} is still down: {}", name, error)
                guarded.breaker.probed(ok=False)
            else:
                guarded.breaker.probed(ok=True)
