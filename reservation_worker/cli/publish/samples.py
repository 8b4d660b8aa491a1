"""Sample events about invented reservations, one for each event."""

import argparse
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.story.samples import SEEDED_TIME, event
from reservation_worker.simulator.story.variants import variants

ALL = "all"
NOT_BY_BUS = frozenset({"flat", "sns"})
"""A scheduler and a topic write to the queue past the bus."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The body of an event, and the reservation it is about, as it is before the event."""

    body: str
    record: Record


def samples_for(args: argparse.Namespace, count: int, types: Sequence[str]) -> list[Sample]:
    """The samples that the options ask for; `count` and `types` are their defaults."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    try:
        return samples(
            args.count or count,
            args.type or types,
            now if args.seed is None else SEEDED_TIME,
            random.Random(args.seed),  # noqa: S311 -- these are samples, no secrets
            args.prefix or "",
            args.variant or "canonical",
            by_bus=args.bus is not None,
        )
    except ValueError as error:
        args.refuse(str(error))
        raise


def samples(
    count: int,
    types: Sequence[str],
    time: str,
    dice: random.Random,
    prefix: str = "",
    variant: str = "canonical",
    by_bus: bool = False,
) -> list[Sample]:
    """`count` samples, the canonical `types` taking turns, and all variants too if asked for.

    Ids begin with `prefix`, or else with one that `dice` makes: no two runs share one.
    Raises ValueError if `variant` does not fit.
    """
    prefix = prefix or f"sample-{dice.getrandbits(32):08x}"
    turns: dict[str, Iterator[str]] = {}
    made = []
    for number, kind in zip(range(1, count + 1), itertools.cycle(types), strict=False):
        record = Record(f"{prefix}-{number}", f"show-{prefix}", (f"{number}A", f"{number}B"))
        canonical = event(
            kind,
            record,
            f"pay-{prefix}-{number}",
            identity=f"evt_{dice.getrandbits(128):032x}",
            trace_id=f"{dice.getrandbits(128) | 1:032x}",
            time=time,
        )
        bodies = variants(canonical)
        if kind not in turns:
            turns[kind] = itertools.cycle(_fitting(kind, list(bodies), variant, by_bus))
        made.append(Sample(bodies[next(turns[kind])], record))
    return made


def _fitting(kind: str, names: list[str], variant: str, by_bus: bool) -> list[str]:
    names = [name for name in names if not by_bus or name not in NOT_BY_BUS]
    if variant == ALL:
        return names
    if variant not in names:
        way = " by a bus" if by_bus else ""
        raise ValueError(f"no {kind} comes as {variant}{way}: choose from {', '.join(names)}")
    return [variant]
