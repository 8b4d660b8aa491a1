"""Numbers to figures: quantiles, medians over runs, spread. Pure."""

import statistics
from collections.abc import Mapping, Sequence

Figures = Mapping[str, float]


def quantiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    """P50, P95 and P99 in milliseconds; empty of fewer than two."""
    if len(seconds) < 2:
        return {}
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {f"p{percent}": cuts[percent - 1] * 1000 for percent in (50, 95, 99)}


def medians(runs: Sequence[Figures]) -> dict[str, float]:
    """The median of each figure over the runs that have it."""
    return {name: statistics.median(values) for name, values in _by_name(runs).items()}


def spreads(runs: Sequence[Figures]) -> dict[str, float]:
    """Of each figure, (largest - smallest) / median, in percent; 0 for a median of 0."""
    found = {}
    for name, values in _by_name(runs).items():
        middle = statistics.median(values)
        found[name] = 100 * (max(values) - min(values)) / abs(middle) if middle else 0.0
    return found


def _by_name(runs: Sequence[Figures]) -> dict[str, list[float]]:
    names = dict.fromkeys(name for run in runs for name in run)
    return {name: [run[name] for run in runs if name in run] for name in names}
