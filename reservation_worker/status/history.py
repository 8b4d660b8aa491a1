"""Thread: keeps the last 15 minutes in memory, one point each 5 seconds, for the status page."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from loguru import logger

from reservation_worker.observability.metrics import Metrics

STEP = 5.0
"""The time between two points, in seconds."""
SPAN = 900.0
"""How long a point is shown, in seconds."""
KEPT = round(SPAN / STEP)


@dataclass(frozen=True, slots=True)
class Point:
    """The `seconds` that ended `at` (Unix seconds); what is no count is as it stood then.

    `settled` counts deliveries by outcome, `latency` by bucket: how many took at most so many
    seconds. `oldest_age` is that of the oldest event received, in seconds; None: none came.
    """

    at: float
    seconds: float
    settled: Mapping[str, int]
    latency: Mapping[float, int]
    in_flight: int
    busy: int
    oldest_age: float | None


class History:
    """A ring of points, made from the differences of the metrics' own counts.

    `step` is in seconds. Times are wall time at the start plus what has passed since, so that a
    clock which is set anew neither folds nor tears the history.
    """

    def __init__(
        self,
        metrics: Metrics,
        in_flight: Callable[[], int],
        busy: Callable[[], int],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        step: float = STEP,
    ) -> None:
        self._metrics = metrics
        self._in_flight = in_flight
        self._busy = busy
        self._clock = clock
        self._epoch = wall_clock() - clock()
        self._step = step
        self._points: deque[Point] = deque(maxlen=KEPT)
        self.started_at = self._last_at = self.now()
        self._settled, self._latency = self._counts()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    def start(self) -> None:
        """Start to look each `step` seconds."""
        self._thread.start()

    def stop(self) -> None:
        """Stop at once; safe before start and twice."""
        self._stop.set()

    def now(self) -> float:
        """The time in Unix seconds, as the points have it."""
        return self._epoch + self._clock()

    def points(self) -> list[Point]:
        """What is not older than SPAN, the oldest first."""
        since = self.now() - SPAN
        return [point for point in self._points.copy() if point.at > since]

    def tick(self) -> None:
        """Add what has happened since the last point. Only one thread may call it."""
        now = self.now()
        settled, latency = self._counts()
        self._points.append(
            Point(
                now,
                now - self._last_at,
                {name: count - self._settled[name] for name, count in settled.items()},
                {bound: count - self._latency[bound] for bound, count in latency.items()},
                self._in_flight(),
                self._busy(),
                self._metrics.oldest_age.take(),
            )
        )
        self._last_at, self._settled, self._latency = now, settled, latency

    def _counts(self) -> tuple[dict[str, int], dict[float, int]]:
        settled: dict[str, int] = {}
        for labels, value in self._metrics.values(self._metrics.events):
            name = labels["outcome"]
            settled[name] = settled.get(name, 0) + int(value)
        latency: dict[float, int] = {}
        for labels, value in self._metrics.values(self._metrics.latency, "_bucket"):
            bound = float(labels["le"])
            latency[bound] = latency.get(bound, 0) + int(value)
        return settled, latency

    def _run(self) -> None:
        # A tick that comes late makes one longer interval: none is made up for.
        while not self._stop.wait(self._step):
            try:
                self.tick()
            except Exception:
                logger.exception("the history has a gap; it goes on")
