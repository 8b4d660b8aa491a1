"""Keeps all threads of the process on one CPU: CPython runs only one of them at a time.

On several CPUs each thread that wakes starts at once, only to wait for the interpreter's lock,
which moves from core to core (docs/adr/0006-one-cpu.md). Only for Linux.
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
"""The least difference in use by others that justifies a move, as a share of a CPU."""
FULL = 0.95
"""Above this share a CPU is full: others want more than they use."""
MARGIN_WHEN_FULL = 0.1

PROC = Path("/proc")
_TICK = 1 / os.sysconf("SC_CLK_TCK")


def allowed() -> set[int]:
    """The CPUs that this process may use; empty where the system does not report them."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def better(busy: Mapping[int, float], here: int, own: float) -> list[int]:
    """The CPUs on which others use less than `here`, from the share of time each was busy.

    `own` is this process's own share of its CPU.
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
    """Moves all threads to one CPU, and at each `look` to a less busy one if there is one.

    `cpus` returns the CPUs that the calling thread may use now.
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
        """Call it once every PERIOD. Raises nothing."""
        if self._now_allowed() != {self.cpu}:
            self.cpu = self._choose()  # moved from outside, by a changed cpuset
        before, now = self._last, self._read()
        self._last = now
        seconds = max(now.at - before.at, 1e-9)
        busy = {
            cpu: (now.busy[cpu] - before.busy[cpu]) / seconds
            for cpu in self._cpus & now.busy.keys() & before.busy.keys()
        }
        found = better(busy, self.cpu, (now.used - before.used) / seconds)
        # Only half of the time: two workers on one CPU see the same, and would move together.
        if found and self._dice.random() < 0.5:
            self.cpu = self._dice.choice(found)
        # Needed even without a move: a new thread's maker may not have been moved yet.
        self._move()

    def _choose(self) -> int:
        self._cpus = self._now_allowed()
        return self._dice.choice(sorted(self._cpus))

    def _read(self) -> _Reading:
        busy: dict[int, float] = {}
        with suppress(OSError, ValueError):  # unreadable: no move
            busy = busy_seconds((self._proc / "stat").read_text())
        return _Reading(self._clock(), self._used(), busy)

    def _move(self) -> None:
        # A thread inherits its maker's CPU; existing threads are moved one by one.
        with suppress(OSError):
            for thread in (self._proc / "self/task").iterdir():
                with suppress(OSError):
                    os.sched_setaffinity(int(thread.name), {self.cpu})
