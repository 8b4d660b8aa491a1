"""The runs that the plan is made of: the loads, and what is changed about the pods."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from benchmarks.capacity.figures import (
    ASSUMED,
    MEASURED,
    Pod,
    Worker,
    shipped_pod,
    shipped_scaling,
    values,
)
from benchmarks.capacity.fleet import Retries
from benchmarks.capacity.sale import TICK, Mix, flash_sale, throttled, wave
from benchmarks.capacity.scaler import Scaling
from benchmarks.capacity.simulation import Run, simulate

SEED = 1
RATE = 30_000
"""Reservations a second of the headline."""
HEADLINE_SECONDS = 60
SEATS = 60_000
"""A stadium: it is sold out after SEATS / RATE seconds."""
EVERYDAY = (20, 1_000, 1_200)
"""The least and the most events a second of the everyday wave, and its length in seconds."""
EVENTBRIDGE_RATE = 1_100
"""Events a second that EventBridge delivers to targets in Seoul unless its quota is raised."""
LEAD = 120
"""How many seconds before the sale warm pods are asked for."""


@dataclass(frozen=True)
class Setup:
    """What a run is made with."""

    scaling: Scaling
    pod: Pod

    def change(self, **what: Any) -> "Setup":
        """The same with another queue_length, least or most, concurrency, cpu or neighbours."""
        scaling = {k: v for k, v in what.items() if hasattr(self.scaling, k)}
        pod = {k: v for k, v in what.items() if k not in scaling}
        return Setup(replace(self.scaling, **scaling), replace(self.pod, **pod))

    def with_cpu_per_event(self, milliseconds: float) -> "Setup":
        """The same with another CPU time an event."""
        worker = replace(self.pod.worker, cpu_per_event=milliseconds / 1000)
        return Setup(self.scaling, replace(self.pod, worker=worker))


class Plan:
    """Draws each load once and runs it as often as it is asked for."""

    def __init__(self) -> None:
        self.measured, self.assumed = values(MEASURED), values(ASSUMED)
        self.worker = Worker.from_figures(self.measured)
        self.shipped = Setup(shipped_scaling(), shipped_pod(self.worker))

    @cached_property
    def mix(self) -> Mix:
        """What becomes of the reservations."""
        a = self.assumed
        payment = a["payment_from_seconds"], a["payment_to_seconds"]
        return Mix(a["approved_share"], a["failed_share"], *payment, a["hold_seconds"])

    @cached_property
    def headline(self) -> list[int]:
        """30,000 reservations a second for a minute."""
        return self._drawn(lambda rng: flash_sale(RATE, HEADLINE_SECONDS, self.mix, rng))

    @cached_property
    def stadium(self) -> list[int]:
        """The same rate until the seats are gone."""
        return self._drawn(lambda rng: flash_sale(RATE, SEATS / RATE, self.mix, rng))

    @cached_property
    def everyday(self) -> list[int]:
        """A wave of an ordinary day."""
        return self._drawn(lambda rng: wave(*EVERYDAY, rng))

    @cached_property
    def delivered(self) -> list[int]:
        """The headline as EventBridge's default quota lets it through."""
        return throttled(self.headline, EVENTBRIDGE_RATE)

    @cached_property
    def announced(self) -> list[int]:
        """The headline with time before it for warm pods to start."""
        return [0] * round(LEAD / TICK) + self.headline

    def run(
        self,
        load: list[int],
        setup: Setup,
        retries: Retries | None = None,
        longest: float = 7200,
        schedule: float | None = None,
    ) -> Run:
        """One run; `schedule` in seconds instead of the assumed one."""
        wait = self.assumed["schedule_seconds"] if schedule is None else schedule
        return simulate(load, setup.scaling, setup.pod, wait, SEED, retries, longest)

    @staticmethod
    def _drawn(draw: Callable[[random.Random], list[int]]) -> list[int]:
        return draw(random.Random(SEED))  # noqa: S311 -- the same run each time is what is wanted
