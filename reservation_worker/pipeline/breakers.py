"""The breakers of all neighbours together: whether messages may be taken, and how many."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from loguru import logger

from reservation_worker.errors import TransientError
from reservation_worker.resilience.breaker import Breaker, State

PROBE_TIMEOUT = 2.0
"""How long a probe of a neighbour may take, in seconds."""


@dataclass(frozen=True, slots=True)
class ProbedBreaker:
    """A neighbour's breaker, and its probe, which gets a timeout in seconds."""

    breaker: Breaker
    probe: Callable[[float], None]


class Breakers:
    """The strictest breaker decides. The poller calls `probe_due_ones`."""

    def __init__(self, breakers: Mapping[str, ProbedBreaker]) -> None:
        self._breakers = breakers

    def of(self, neighbour: str) -> Breaker:
        """The breaker that guards the calls of this neighbour."""
        return self._breakers[neighbour].breaker

    def states(self) -> dict[str, State]:
        """The state by neighbour."""
        return {name: probed.breaker.state for name, probed in self._breakers.items()}

    def any_open(self) -> bool:
        """Whether a breaker is open: then nothing is polled and no message starts."""
        return any(probed.breaker.state is State.OPEN for probed in self._breakers.values())

    def limit(self) -> int | None:
        """The most messages in flight; None: no limit, 0: a pause."""
        limits = [probed.breaker.limit() for probed in self._breakers.values()]
        return min((limit for limit in limits if limit is not None), default=None)

    def spare(self) -> None:
        """A message has ended without a failed call."""
        for probed in self._breakers.values():
            probed.breaker.spare()

    def remaining(self) -> float:
        """Seconds until the last open breaker may be probed."""
        return max(probed.breaker.remaining() for probed in self._breakers.values())

    def probe_due_ones(self) -> None:
        """Probe each neighbour whose open time is over."""
        for name, probed in self._breakers.items():
            if not probed.breaker.probe_due():
                continue
            try:
                probed.probe(PROBE_TIMEOUT)
            except TransientError as error:
                logger.warning("{} is still down: {}", name, error)
                probed.breaker.probed(ok=False)
            else:
                probed.breaker.probed(ok=True)
