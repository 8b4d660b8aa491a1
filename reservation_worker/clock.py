"""The clocks that the worker reads; tests inject their own."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

awake: Callable[[], float] = partial(
    time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
)
"""Seconds by a clock that goes on while the machine sleeps, as SQS's own does.

CLOCK_MONOTONIC stands still while a laptop's lid is closed or a virtual machine is suspended.
"""


@dataclass(frozen=True, slots=True)
class Clocks:
    """`monotonic` measures leases and durations; `wall` gives Unix seconds."""

    monotonic: Callable[[], float] = awake
    wall: Callable[[], float] = time.time


REAL_CLOCKS = Clocks()
