"""Keeps all threads of the process on one CPU: CPython runs only one of them at a time.

On several CPUs each thread that wakes runs at once, only to wait for the interpreter's lock, which
wanders from core to core (docs/adr/0006-one-cpu.md). Linux; elsewhere nothing is done.
"""

import os
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PERIOD = 5.0
"""How often to look whether another CPU is less busy, in seconds."""
MARGIN = 0.25
"""By how much of a CPU the others there must use less for a move to be worth it."""
FULL = 0.95
"""From here on a CPU has no time left, and what others use tells less than what they want."""
MARGIN_WHEN_FULL = 0.1

PROC = Path("/proc")
_TICK = 1 / os.sysconf("SC_CLK_TCK")


def allowed() -> set[int]:
    """The CPUs that this process may use; none where the system does not tell."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def better(busy: Mapping[int, float], here: int, own: float) -> list[int]:
    """The CPUs on which others use less than they do `here`, by the share each one was busy.

    `own` is what this process itself has used of its CPU.
    """
    total = busy.get(here, 0.0)
    most = total - own - (MARGIN if total < FULL else MARGIN_WHEN_FULL)
    return [cpu for cpu, share in busy.items() if cpu != here and share < most]


def busy_seconds(stat: str) -> dict[int, float]:
    """How long each CPU has been busy, from the text of /proc/stat. Raises ValueError."""
    found = {}
    for name, *fields in map(str.split, stat.splitlines()):
        if name.startswith("cpu") and name != "cpu":
            user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, fields)
            found[int(name[3:])] = (user + nice + system + irq + softirq) * _TICK
    return found


class _Reading(NamedTuple):
    at: float
    used: float
    busy: dict[int, float]


class OneCpu:
    """Moves all threads to one CPU, and on to a less busy one at each `look` if need be.

    `cpus` tells which ones the calling thread may use now.
    """

    def __init__(
        self,
        cpus: Callable[[], set[int]] = allowed,
        proc: Path = PROC,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.process_time,
        dice: random.Random | None = None,
    ) -> None:
        self._proc = proc
        self._clock = clock
        self._used = used
        self._dice = dice or random.Random()  # noqa: S311 -- it only spreads the load
        self._now_allowed = cpus
        self.cpu = self._choose()
        self._move()
        self._last = self._read()

    def look(self) -> None:
        """Call it each PERIOD. Raises nothing."""
        if self._now_allowed() != {self.cpu}:
            self.cpu = self._choose()  # somebody else has moved us: a changed cpuset
        before, now = self._last, self._read()
        self._last = now
        seconds = max(now.at - before.at, 1e-9)
        busy = {
            cpu: (now.busy[cpu] - before.busy[cpu]) / seconds
            for cpu in self._cpus & now.busy.keys() & before.busy.keys()
        }
        found = better(busy, self.cpu, (now.used - before.used) / seconds)
        # Half of the times: two workers on one CPU see the same and would move together for ever.
        if found and self._dice.random() < 0.5:
            self.cpu = self._dice.choice(found)
        # Also where it stays: a thread may have been made by one that was not moved yet.
        self._move()

    def _choose(self) -> int:
        self._cpus = self._now_allowed()
        return self._dice.choice(sorted(self._cpus))

    def _read(self) -> _Reading:
        busy: dict[int, float] = {}
        with suppress(OSError, ValueError):  # not told: it stays where it is
            busy = busy_seconds((self._proc / "stat").read_text())
        return _Reading(self._clock(), self._used(), busy)

    def _move(self) -> None:
        # A thread inherits its maker's CPU; those that are there already are moved one by one.
        with suppress(OSError):
            for thread in (self._proc / "self/task").iterdir():
                with suppress(OSError):
                    os.sched_setaffinity(int(thread.name), {self.cpu})
