"""Quantiles of a histogram, as Prometheus' histogram_quantile() takes them. Pure."""

import math
from collections.abc import Mapping


def quantile(q: float, buckets: Mapping[float, float]) -> float | None:
    """Linear inside a bucket; None without an observation.

    `buckets` has the cumulative count of each upper bound. Beyond the last finite bucket the result
    is that bucket's bound.
    """
    total = buckets.get(math.inf, 0.0)
    if not total:
        return None
    rank = q * total
    lower, below = 0.0, 0.0
    for bound in sorted(buckets):
        count = buckets[bound]
        if count >= rank:
            if math.isinf(bound):
                return lower
            inside = count - below
            return lower + (bound - lower) * ((rank - below) / inside if inside else 1.0)
        lower, below = bound, count
    return lower
