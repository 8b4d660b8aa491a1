"""CPU time and memory of processes and of the machine, from /proc. Linux."""

import os
import platform
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reservation_worker.cli.run.one_cpu import busy_seconds

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_GONE = (FileNotFoundError, ProcessLookupError)


def _stat(path: Path) -> list[str]:
    """The fields of a stat file from the third (the state) on: a name may hold anything."""
    return (path / "stat").read_text().rpartition(") ")[2].split()


def group(leader: int) -> Iterator[Path]:
    """The processes of a process group: a contestant may fork."""
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with suppress(*_GONE):
                if int(_stat(path)[2]) == leader:
                    yield path


def cpu_seconds(leader: int) -> float:
    """CPU time of a process group so far, of children it has waited for too."""
    ticks = 0
    for path in group(leader):
        with suppress(*_GONE):
            ticks += sum(int(field) for field in _stat(path)[11:15])
    return ticks * _TICK


def memory_mb(leader: int) -> dict[str, float]:
    """Resident and anonymous memory of a process group now, in MB (10 ** 6 bytes)."""
    sums = {"Rss": 0, "Anonymous": 0}
    for path in group(leader):
        with suppress(*_GONE):
            for line in (path / "smaps_rollup").read_text().splitlines():
                name, _, rest = line.partition(":")
                if name in sums:
                    sums[name] += int(rest.split()[0])
    return {"rss_mb": sums["Rss"] * 1024 / 1e6, "anon_mb": sums["Anonymous"] * 1024 / 1e6}


@dataclass(frozen=True, slots=True)
class Moment:
    """Readings of one moment, in seconds; `ours` is the CPU time of all that the harness runs."""

    at: float
    worker: float
    ours: float
    busy: float


def moment(workers: Iterable[int], stubs: Iterable[int]) -> Moment:
    """Read the clocks now."""
    worker = sum(cpu_seconds(leader) for leader in workers)
    times = os.times()
    ours = worker + sum(cpu_seconds(leader) for leader in stubs) + times.user + times.system
    busy = busy_seconds(Path("/proc/stat").read_text())
    return Moment(time.monotonic(), worker, ours, sum(busy.values()))


def foreign_cpus(before: Moment, after: Moment) -> float:
    """How many CPUs other processes have used in between."""
    others = (after.busy - before.busy) - (after.ours - before.ours)
    return max(0.0, others / (after.at - before.at))


def machine() -> dict[str, str]:
    """The machine of the measurement."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": f"{os.cpu_count()} x {model}",
        "memory": f"{pages / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }
