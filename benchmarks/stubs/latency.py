"""How long a stub takes to answer: fixed, or uniform around the mean."""

import random
from dataclasses import dataclass, field


@dataclass
class Latency:
    """`mean_ms` plus or minus up to `jitter_ms`; records the calls' real durations."""

    mean_ms: float = 0.0
    jitter_ms: float = 0.0
    calls: int = 0
    seconds: float = 0.0
    _dice: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - a load

    def next(self) -> float:
        """Seconds that the next call takes."""
        return max(0.0, self.mean_ms + self._dice.uniform(-1, 1) * self.jitter_ms) / 1000

    def took(self, seconds: float) -> None:
        """Record one call."""
        self.calls += 1
        self.seconds += seconds

    def set(self, mean_ms: float, jitter_ms: float) -> None:
        """Set another distribution and reset the record."""
        self.mean_ms, self.jitter_ms = mean_ms, jitter_ms
        self.mark()

    def mark(self) -> None:
        """Reset the record."""
        self.calls, self.seconds = 0, 0.0

    def noted(self) -> dict[str, float]:
        """The number of calls since the mark, and their mean duration."""
        mean = self.seconds / self.calls * 1000 if self.calls else 0.0
        return {"calls": self.calls, "mean_ms": mean}
