"""The replicas over time, as KEDA and the HPA made them and as the capacity model says."""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import yaml

from benchmarks.capacity.scaler import SYNC, Hpa, Keda, Scaling
from tests.deploy.tools import K8S

Changes = list[tuple[int, int]]
LATER = 20


class Sample(NamedTuple):
    """What there was in one second of a record."""

    depth: int
    replicas: int


class Comparison(NamedTuple):
    """Two timelines of (second, replicas), and the share of pod-seconds that they differ by."""

    real: Changes
    model: Changes
    apart: float

    def __str__(self) -> str:
        lines = (
            f"{name:6}" + " ".join(f"{second} s: {count}," for second, count in line).rstrip(",")
            for name, line in (("real", self.real), ("model", self.model))
        )
        return "\n".join([*lines, f"pod-seconds apart: {self.apart:.1%}"])


def record(
    look: Callable[[], Sample],
    steps: Sequence[tuple[float, Callable[[], object]]],
    over: Callable[[Sample], bool],
    limit: float,
) -> list[Sample]:
    """A sample each second. `steps` are done at their seconds; then it lasts until `over`.

    LATER seconds more show a model that is late.
    """
    began, left, samples = time.monotonic(), list(steps), list[Sample]()
    while left or not all(map(over, samples[-LATER:])):
        while left and len(samples) >= left[0][0]:
            # Beside the record: 5,000 messages take some seconds.
            threading.Thread(target=left.pop(0)[1]).start()
        samples.append(look())
        assert len(samples) < limit, f"not over after {limit:g} s: {samples[-1]}"
        time.sleep(max(0.0, len(samples) - (time.monotonic() - began)))
    return samples


def compare(samples: Sequence[Sample]) -> Comparison:
    """The record against the model on the same depths.

    When KEDA polls and the HPA looks is not known: all offsets are tried, and the best one counts.
    """
    [scaled] = (
        one
        for one in yaml.safe_load_all((K8S / "deploy" / "base" / "keda.yaml").read_text())
        if one["kind"] == "ScaledObject"
    )
    scaling = Scaling.from_manifest(scaled)
    real = [sample.replicas for sample in samples]
    offsets = itertools.product(range(int(scaling.polling)), range(int(SYNC)))
    played = (_play(samples, scaling, *both) for both in offsets)
    best = min(played, key=lambda line: _apart(real, line))
    return Comparison(_changes(real), _changes(best), _apart(real, best) / max(1, sum(real)))


def _play(samples: Sequence[Sample], scaling: Scaling, poll: int, look: int) -> list[int]:
    """The replicas in each second, if KEDA's first poll and the HPA's first look are then."""
    keda, hpa, replicas = Keda(scaling), Hpa(scaling), samples[0].replicas
    line = []
    for second, sample in enumerate(samples):
        if (second - poll) % scaling.polling == 0:
            replicas = keda.poll(second, sample.depth, replicas)
        if (second - look) % SYNC == 0:
            replicas = hpa.sync(second, sample.depth, replicas)
        line.append(replicas)
    return line


def _apart(one: Sequence[int], other: Sequence[int]) -> int:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


def _changes(line: Sequence[int]) -> Changes:
    pairs = itertools.pairwise([-1, *line])
    return [(second, now) for second, (before, now) in enumerate(pairs) if now != before]
