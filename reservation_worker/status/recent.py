"""The last deliveries, kept in memory for the status page and the debug server."""

import threading
from collections import deque
from dataclasses import dataclass, fields, replace
from operator import attrgetter

from reservation_worker.outcome import Completed

KEPT = 200
"""The number of deliveries kept, and of failures kept apart from them."""
LONGEST = 3_000
"""The longest text kept, in characters: a field of an event may be a mebibyte."""
_TEXTS = tuple(field.name for field in fields(Completed) if field.type in (str, str | None))
_texts_of = attrgetter(*_TEXTS)
_FAILURES = frozenset({"retried", "failed", "invalid_payload"})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest first. `total` and `total_failures` count since the start, without retries.

    `last_dead_letter_at` is in Unix seconds, None before the first.
    """

    deliveries: tuple[Completed, ...]
    failures: tuple[Completed, ...]
    total: int
    total_failures: int
    last_dead_letter_at: float | None = None


class RecentOutcomes:
    """Bounded rings; the completer calls `add` from all threads of the pool."""

    def __init__(self) -> None:
        self._deliveries: deque[Completed] = deque(maxlen=KEPT)
        self._failures: deque[Completed] = deque(maxlen=KEPT)
        self._total = self._total_failures = 0
        self._last_dead_letter_at: float | None = None
        self._lock = threading.Lock()

    def add(self, delivery: Completed) -> None:
        """Add one delivery."""
        delivery = _cut(delivery)
        with self._lock:
            self._deliveries.append(delivery)
            if delivery.counted != "retried":
                self._total += 1
            if delivery.counted in _FAILURES:
                self._failures.append(delivery)
                if delivery.counted != "retried":
                    self._total_failures += 1
                    self._last_dead_letter_at = delivery.at

    def snapshot(self) -> Snapshot:
        """The present state."""
        with self._lock:
            return Snapshot(
                tuple(reversed(self._deliveries)),
                tuple(reversed(self._failures)),
                self._total,
                self._total_failures,
                self._last_dead_letter_at,
            )


def _cut(completed: Completed) -> Completed:
    texts: tuple[str | None, ...] = _texts_of(completed)
    if sum(map(len, filter(None, texts))) <= LONGEST:
        return completed
    cut = {name: text and text[:LONGEST] for name, text in zip(_TEXTS, texts, strict=True)}
    return replace(completed, **cut)  # type: ignore[arg-type]
