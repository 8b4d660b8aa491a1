"""Reads a worker's /metrics as Prometheus would. Pure."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from reservation_worker.status.series import quantile

Labels = tuple[tuple[str, str], ...]
FINAL = ("success", "dropped", "failed", "invalid_payload")
"""The final outcomes; the other one is `retried`."""
DEAD_LETTERED = ("failed", "invalid_payload")

_EVENTS = "worker_events_total"
_LATENCY = "worker_latency_seconds"


class Metrics:
    """The samples of one scrape, by name and labels."""

    def __init__(self, text: str = "") -> None:
        self._samples: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = tuple(sorted(sample.labels.items()))
                self._samples.setdefault(sample.name, {})[labels] = float(sample.value)

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples that carry these labels; 0 if there are none."""
        return sum(self._matching(name, labels).values())

    def has(self, name: str) -> bool:
        """Whether there is any sample of this name."""
        return name in self._samples

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """The samples that are not 0, summed by these labels."""
        sums: dict[tuple[str, ...], float] = {}
        for key, value in self._samples.get(name, {}).items():
            group = tuple(dict(key).get(label, "") for label in labels)
            sums[group] = sums.get(group, 0.0) + value
        return {group: value for group, value in sums.items() if value}

    def quantile(self, q: float, name: str, **labels: str) -> float | None:
        """histogram_quantile() of a histogram; None when nothing was observed."""
        buckets: dict[float, float] = {}
        for key, value in self._matching(f"{name}_bucket", labels).items():
            bound = float(dict(key)["le"])
            buckets[bound] = buckets.get(bound, 0.0) + value
        return quantile(q, buckets)

    def settled(self) -> int:
        """How many deliveries ended for good."""
        return int(sum(self.value(_EVENTS, outcome=name) for name in FINAL))

    def dead_lettered(self) -> int:
        """How many of them ended in the dead-letter queue."""
        return int(sum(self.value(_EVENTS, outcome=name) for name in DEAD_LETTERED))

    def retries(self) -> int:
        """Give-backs after a failure."""
        return int(self.value(_EVENTS, outcome="retried"))

    def outcomes(self) -> dict[str, dict[str, int]]:
        """Deliveries by type and outcome."""
        table: dict[str, dict[str, int]] = {}
        for (kind, outcome), count in sorted(self.by(_EVENTS, "type", "outcome").items()):
            table.setdefault(kind, {})[outcome] = int(count)
        return table

    def quantiles_ms(self, **labels: str) -> dict[str, float | None]:
        """P50, P95 and P99 from the receive to the outcome, in milliseconds."""
        figures = {}
        for percent in (50, 95, 99):
            seconds = self.quantile(percent / 100, _LATENCY, **labels)
            figures[f"p{percent}"] = None if seconds is None else round(seconds * 1000, 1)
        return figures

    def latencies_ms(self) -> dict[str, dict[str, float | None]]:
        """`quantiles_ms` of all deliveries and of each type."""
        by_type = {kind: self.quantiles_ms(type=kind) for kind in self.outcomes()}
        return {"all": self.quantiles_ms(), **by_type}

    def __add__(self, other: "Metrics") -> "Metrics":
        """The sum over two workers."""
        return self._combined(other, 1)

    def __sub__(self, before: "Metrics") -> "Metrics":
        """The increase of the same worker's counters and histograms since `before`."""
        return self._combined(before, -1)

    def _combined(self, other: "Metrics", sign: int) -> "Metrics":
        result = Metrics()
        for samples, factor in ((self._samples, 1), (other._samples, sign)):
            for name, values in samples.items():
                into = result._samples.setdefault(name, {})
                for labels, value in values.items():
                    into[labels] = into.get(labels, 0.0) + factor * value
        return result

    def _matching(self, name: str, labels: Mapping[str, str]) -> dict[Labels, float]:
        wanted = set(labels.items())
        return {k: v for k, v in self._samples.get(name, {}).items() if wanted <= set(k)}
