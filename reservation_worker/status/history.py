"""Thread: keeps the last 15 minutes in memory, one point each 5 seconds, for the status page."""

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from loguru import logger

from reservation_worker.observability.metrics import Metrics

STEP = 5.0
"""The interval between two points, in seconds."""
SPAN = 900.0
"""The age up to which a point is shown, in seconds."""
KEPT = round(SPAN / STEP)


@dataclass(frozen=True, slots=True)
class Point:
    """The interval of `seconds` that ended `at` (Unix seconds); gauges are as they stood then.

    `outcomes` counts deliveries by outcome, `latency` cumulatively by bucket (seconds).
    `oldest_age` is the age of the oldest event received, in seconds; None: none was.
    """

    at: float
    seconds: float
    outcomes: Mapping[str, int]
    latency: Mapping[float, int]
    in_flight: int
    busy: int
    oldest_age: float | None


class History:
    """A ring of points, made from the differences of the metrics' own counts.

    `step` is in seconds. A time is the wall time of the start plus the time that has passed since:
    setting the system's clock does not disorder the history.
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
        self._outcomes, self._latency = self._counts()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    def start(self) -> None:
        """Start adding a point each `step` seconds."""
        self._thread.start()

    def stop(self) -> None:
        """Stop at once; safe before start and twice."""
        self._stop.set()

    def now(self) -> float:
        """The time in Unix seconds, by the clock of the points."""
        return self.unix(self._clock())

    def unix(self, at: float) -> float:
        """A time of `clock` in Unix seconds."""
        return self._epoch + at

    def points(self) -> list[Point]:
        """The points that are not older than SPAN, the oldest first."""
        since = self.now() - SPAN
        return [point for point in self._points.copy() if point.at > since]

    def tick(self) -> None:
        """Add a point for the time since the last one. Only one thread may call it."""
        now = self.now()
        outcomes, latency = self._counts()
        self._points.append(
            Point(
                now,
                now - self._last_at,
                {name: count - self._outcomes[name] for name, count in outcomes.items()},
                {bound: count - self._latency[bound] for bound, count in latency.items()},
                self._in_flight(),
                self._busy(),
                self._metrics.oldest_age.take(),
            )
        )
        self._last_at, self._outcomes, self._latency = now, outcomes, latency

    def _counts(self) -> tuple[dict[str, int], dict[float, int]]:
        outcomes: dict[str, int] = {}
        for labels, value in self._metrics.values(self._metrics.events):
            name = labels["outcome"]
            outcomes[name] = outcomes.get(name, 0) + int(value)
        latency: dict[float, int] = {}
        for labels, value in self._metrics.values(self._metrics.latency, "_bucket"):
            bound = float(labels["le"])
            latency[bound] = latency.get(bound, 0) + int(value)
        return outcomes, latency

    def _run(self) -> None:
        # A late tick makes one longer interval; missed ticks are not repeated.
        while not self._stop.wait(self._step):
            try:
                self.tick()
            except Exception:
                logger.exception("the history has a gap; it goes on")
