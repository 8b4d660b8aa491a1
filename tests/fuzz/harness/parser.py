"""Mutated bodies through the parser, drawn by Hypothesis."""

import resource
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reservation_worker.events import parse as events
from tests.fuzz.harness.mutations import Mutant, mutant
from tests.fuzz.harness.promises import BrokenPromise, Parse, check

SHARD = 10_000
_MOST_BROKEN = 5


@dataclass(frozen=True, slots=True)
class ParserFigures:
    """What came of the bodies; `broken` has a plain sentence for each breach."""

    seed: int
    examples: int
    distinct: int
    seconds: float
    answers: Mapping[str, int]
    known: Mapping[str, int]
    mutations: Mapping[str, int]
    largest_bytes: int
    slowest_ms: float
    slowest: str
    rss_mb: int
    broken: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Every promise was kept."""
        return not self.broken


@dataclass(slots=True)
class _Tally:
    bodies: set[int] = field(default_factory=set)
    counts: dict[str, Counter[str]] = field(
        default_factory=lambda: {name: Counter() for name in ("answers", "known", "mutations")}
    )
    largest: int = 0
    slowest: tuple[float, str] = (0.0, "")
    broken: list[str] = field(default_factory=list)

    def add(self, one: Mutant, kind: str, milliseconds: float) -> None:
        self.bodies.add(hash(one.body))
        self.counts["answers"][kind] += 1
        self.counts["known"][one.expected] += 1
        self.counts["mutations"][one.name] += 1
        self.largest = max(self.largest, len(one.body))
        self.slowest = max(self.slowest, (milliseconds, f"{one.name}, {len(one.body)} characters"))


def fuzz_parser(examples: int, seed: int, parse: Parse = events.parse) -> ParserFigures:
    """Parse so many mutated bodies; the same seed makes the same ones."""
    began = time.monotonic()
    tally = _Tally()
    done = 0
    while done < examples and len(tally.broken) < _MOST_BROKEN:
        count = min(SHARD, examples - done)
        _shard(count, seed * 1_000_003 + done, parse, tally)
        done += count
        sys.stderr.write(
            f"parser: {done} of {examples} in {time.monotonic() - began:.0f} s,"
            f" slowest {tally.slowest[0]:.1f} ms, broken {len(tally.broken)}\n"
        )
    return ParserFigures(
        seed=seed,
        examples=tally.counts["answers"].total(),
        distinct=len(tally.bodies),
        seconds=round(time.monotonic() - began, 1),
        answers=dict(tally.counts["answers"]),
        known=dict(tally.counts["known"]),
        mutations=dict(tally.counts["mutations"]),
        largest_bytes=tally.largest,
        slowest_ms=round(tally.slowest[0], 1),
        slowest=tally.slowest[1],
        rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        broken=tuple(tally.broken),
    )


def _shard(count: int, seed: int, parse: Parse, tally: _Tally) -> None:
    """A separate Hypothesis run, because its memory grows with the number of examples."""

    @hypothesis.seed(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(st.randoms(use_true_random=False))
    def each(dice: Random) -> None:
        one = mutant(dice)
        tally.add(one, *check(one, parse))

    try:
        each()
    except BrokenPromise as error:
        tally.broken.append(str(error))
