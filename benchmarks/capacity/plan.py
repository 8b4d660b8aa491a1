"""The loads of the plan and the settings that its runs vary."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from benchmarks.capacity.figures import (
    ASSUMED,
    MEASURED,
    Pod,
    WorkerFigures,
    read_figures,
    shipped_pod,
    shipped_scaling,
)
from benchmarks.capacity.fleet import Retries
from benchmarks.capacity.sale import TICK, Mix, flash_sale, throttled, wave
from benchmarks.capacity.scaler import Scaling
from benchmarks.capacity.simulation import SimulationResult, simulate

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
"""Seconds before the sale at which warm pods are requested."""


@dataclass(frozen=True)
class Sizing:
    """The settings of a run: KEDA's and a pod's."""

    scaling: Scaling
    pod: Pod

    def change(self, **what: Any) -> "Sizing":
        """The same with another queue_length, least or most, concurrency, cpu or neighbours."""
        scaling = {k: v for k, v in what.items() if hasattr(self.scaling, k)}
        pod = {k: v for k, v in what.items() if k not in scaling}
        return Sizing(replace(self.scaling, **scaling), replace(self.pod, **pod))

    def with_cpu_per_event(self, milliseconds: float) -> "Sizing":
        """The same with another CPU time an event."""
        worker = replace(self.pod.worker, cpu_per_event=milliseconds / 1000)
        return Sizing(self.scaling, replace(self.pod, worker=worker))


class CapacityPlan:
    """Draws each load once, for any number of runs."""

    def __init__(self) -> None:
        self.measured, self.assumed = read_figures(MEASURED), read_figures(ASSUMED)
        self.worker = WorkerFigures.from_figures(self.measured)
        self.shipped = Sizing(shipped_scaling(), shipped_pod(self.worker))

    @cached_property
    def mix(self) -> Mix:
        """The outcomes of the reservations."""
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
        """The headline as EventBridge delivers it under its default quota."""
        return throttled(self.headline, EVENTBRIDGE_RATE)

    @cached_property
    def announced(self) -> list[int]:
        """The headline with time before it for warm pods to start."""
        return [0] * round(LEAD / TICK) + self.headline

    def run(
        self,
        load: list[int],
        sizing: Sizing,
        retries: Retries | None = None,
        time_limit: float = 7200,
        schedule: float | None = None,
    ) -> SimulationResult:
        """One run; `schedule` in seconds instead of the assumed one."""
        wait = self.assumed["schedule_seconds"] if schedule is None else schedule
        return simulate(load, sizing.scaling, sizing.pod, wait, SEED, retries, time_limit)

    @staticmethod
    def _drawn(draw: Callable[[random.Random], list[int]]) -> list[int]:
        return draw(random.Random(SEED))  # noqa: S311 -- runs must be reproducible
