"""The gain of running workers' metrics since the watch began."""

from collections.abc import Sequence

from reservation_worker.cli import worker_http
from reservation_worker.errors import OperationError
from reservation_worker.simulator.metrics import Metrics

_START = "process_start_time_seconds"
# Linux works it out anew at each reading, and may differ a little from itself.
_SAME_START = 2.0


class Watch:
    """Raises OperationError, as `gained` does, when a worker does not answer as one."""

    def __init__(self, urls: Sequence[str]) -> None:
        try:
            self._before = {url: _scrape(url) for url in urls}
        except OperationError as error:
            raise OperationError(f"{error}; start a worker, or name it by --metrics-url") from error

    def gained(self) -> Metrics:
        """The gain of all workers' counters and histograms; gauges mean nothing in it."""
        total = Metrics()
        for url, before in self._before.items():
            now = _scrape(url)
            if abs(now.value(_START) - before.value(_START)) > _SAME_START:
                raise OperationError(f"the worker at {url} was started anew: its counters are lost")
            total += now - before
        return total


def _scrape(url: str) -> Metrics:
    answer = worker_http.get(url)
    try:
        metrics = Metrics(answer.body.decode())
    except ValueError:
        metrics = Metrics()
    if answer.status != 200 or not metrics.has("worker_events_total"):
        raise OperationError(f"{url} answers {answer.status}, but not with a worker's metrics")
    return metrics
