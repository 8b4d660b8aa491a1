"""What a worker's /metrics say, read as Prometheus would read them. Pure."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from reservation_worker.observability.quantile import quantile

Labels = tuple[tuple[str, str], ...]


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

    def _matching(self, name: str, labels: Mapping[str, str]) -> dict[Labels, float]:
        wanted = set(labels.items())
        return {k: v for k, v in self._samples.get(name, {}).items() if wanted <= set(k)}
