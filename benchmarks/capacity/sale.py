"""When events reach the queue: lists of how many in each tick, drawn from a seeded generator."""

import math
import random
from dataclasses import dataclass
from itertools import accumulate

TICK = 0.1
"""Seconds of one step of the simulation."""


@dataclass(frozen=True)
class Mix:
    """The outcomes of a reservation: paid, payment failed, or expired. Times in seconds."""

    approved: float
    failed: float
    payment_from: float
    payment_to: float
    hold: float


def flash_sale(rate: int, seconds: float, mix: Mix, rng: random.Random) -> list[int]:
    """`rate` reservations a second for `seconds`; each ends in one event, drawn on its own."""
    counts = [0] * (round((seconds + mix.hold) / TICK) + 1)
    paid = mix.approved + mix.failed
    for number in range(round(rate * seconds)):
        at = number / rate
        if rng.random() < paid:
            at += rng.uniform(mix.payment_from, mix.payment_to)
        else:
            at += mix.hold
        counts[int(at / TICK)] += 1
    return counts


def wave(least: float, most: float, seconds: float, rng: random.Random) -> list[int]:
    """Random arrivals whose rate rises from `least` to `most` a second and falls back."""
    counts = [0] * math.ceil(seconds / TICK)
    at = rng.expovariate(most)
    while at < seconds:
        rate = least + (most - least) * (1 - math.cos(2 * math.pi * at / seconds)) / 2
        if rng.random() * most < rate:
            counts[int(at / TICK)] += 1
        at += rng.expovariate(most)
    return counts


def throttled(counts: list[int], rate: float) -> list[int]:
    """The same events behind a limit of `rate` a second; the rest is delivered later."""
    passed, kept, room, tick = [], 0, 0.0, 0
    while tick < len(counts) or kept:
        kept += counts[tick] if tick < len(counts) else 0
        room = min(room, 1.0) + rate * TICK
        through = min(kept, int(room))
        passed.append(through)
        kept -= through
        room -= through
        tick += 1
    return passed


def peak(counts: list[int]) -> float:
    """The most events of any second, per second."""
    width = round(1 / TICK)
    sums = [0, *accumulate(counts)]
    return max(b - a for a, b in zip(sums, sums[width:], strict=False))
