"""What was settled lately, kept in memory for the status page and the debug server."""

import threading
from collections import deque
from dataclasses import dataclass, fields, replace
from typing import Any

from reservation_worker.outcome import Settled

KEPT = 200
"""So many settled deliveries are kept, and as many failures apart from them."""
LONGEST = 3_000
"""Of a text that is kept, in characters: a field of an event may be a mebibyte."""
_FAILURES = frozenset({"retried", "failed", "invalid_payload"})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest first. `total` and `total_failures` count since the start, retries not at all.

    `last_dead_letter_at` is in Unix seconds, None before the first.
    """

    settled: tuple[Settled, ...]
    failures: tuple[Settled, ...]
    total: int
    total_failures: int
    last_dead_letter_at: float | None = None


class RecentOutcomes:
    """Bounded rings; `add` is a watcher of the settler and is called by all pool threads."""

    def __init__(self) -> None:
        self._settled: deque[Settled] = deque(maxlen=KEPT)
        self._failures: deque[Settled] = deque(maxlen=KEPT)
        self._total = self._total_failures = 0
        self._last_dead_letter_at: float | None = None
        self._lock = threading.Lock()

    def add(self, settled: Settled) -> None:
        """One more."""
        settled = _cut(settled)
        with self._lock:
            self._settled.append(settled)
            if settled.counted != "retried":
                self._total += 1
            if settled.counted in _FAILURES:
                self._failures.append(settled)
                if settled.counted != "retried":
                    self._total_failures += 1
                    self._last_dead_letter_at = settled.at

    def snapshot(self) -> Snapshot:
        """Everything as it stands now."""
        with self._lock:
            return Snapshot(
                tuple(reversed(self._settled)),
                tuple(reversed(self._failures)),
                self._total,
                self._total_failures,
                self._last_dead_letter_at,
            )


def _cut(settled: Settled) -> Settled:
    texts = {field.name: getattr(settled, field.name) for field in fields(settled)}
    cut: dict[str, Any] = {
        name: text[:LONGEST]
        for name, text in texts.items()
        if isinstance(text, str) and len(text) > LONGEST
    }
    return replace(settled, **cut) if cut else settled
