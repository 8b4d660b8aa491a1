"""All threads stay on one CPU, and move when others need it more."""

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from reservation_worker.cli.run.one_cpu import OneCpu, allowed, better, busy_seconds

TICK = os.sysconf("SC_CLK_TCK")
STAT = """cpu  9 9 9 9 9 9 9 9 9 9
cpu0 {0} 0 0 500 70 0 0 30 40 0
cpu1 {1} 0 0 500 70 0 0 30 40 0
intr 12 0
"""


def test_a_cpus_busy_time_is_user_nice_system_and_interrupts() -> None:
    stat = "cpu 9 9 9 9 9 9 9 9\ncpu10 1 20 300 7 7 4000 50000 7 0 0\nctxt 5\n"
    assert busy_seconds(stat) == {10: pytest.approx(54321 / TICK)}


@pytest.mark.parametrize(
    ("busy", "own", "found"),
    [
        ({0: 0.9, 1: 0.1, 2: 0.7}, 0.1, [1]),
        ({0: 0.9, 1: 0.1, 2: 0.5}, 0.0, [1, 2]),
        # Its own use is no reason to move.
        ({0: 0.9, 1: 0.1}, 0.7, []),
        ({0: 0.5, 1: 0.25}, 0.0, []),
        # On a full CPU the others want more than they get.
        ({0: 1.0, 1: 0.3}, 0.5, [1]),
        ({0: 0.9, 1: 0.3}, 0.45, []),
        ({1: 0.0}, 0.5, []),
        ({}, 0.0, []),
    ],
)
def test_a_cpu_is_better_if_others_use_a_quarter_less_of_it(
    busy: dict[int, float], own: float, found: list[int]
) -> None:
    assert better(busy, 0, own) == found


class Machine:
    """A /proc of two CPUs, and one real thread that may be moved."""

    def __init__(self, proc: Path) -> None:
        self.proc = proc
        self.at = self.used = 0.0
        self._busy = [0.0, 0.0]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._end.wait)
        self._thread.start()
        self.thread = self._thread.native_id or 0
        (proc / "self/task" / str(self.thread)).mkdir(parents=True)
        self.passes(0)

    def passes(self, seconds: float, *busy: float, own: float = 0.0) -> None:
        """Let `seconds` pass in which each CPU was busy for the given share of them."""
        self.at += seconds
        self.used += own * seconds
        for cpu, share in enumerate(busy):
            self._busy[cpu] += share * seconds
        text = STAT.format(*(round(one * TICK) for one in self._busy))
        (self.proc / "stat").write_text(text)

    def one_cpu(self, seed: int = 1) -> OneCpu:
        dice = random.Random(seed)
        os.sched_setaffinity(self.thread, {0, 1})
        return OneCpu(self.allowed, self.proc, lambda: self.at, lambda: self.used, dice)

    def allowed(self) -> set[int]:
        return os.sched_getaffinity(self.thread)

    def end(self) -> None:
        self._end.set()
        self._thread.join()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    if not {0, 1} <= allowed():
        pytest.skip("this machine has no CPUs 0 and 1 for us")
    made = Machine(tmp_path)
    yield made
    made.end()


def test_the_start_moves_every_thread_to_one_of_the_cpus(machine: Machine) -> None:
    began = {machine.one_cpu(seed).cpu for seed in range(20)}
    assert began == {0, 1}
    last = machine.one_cpu()
    assert os.sched_getaffinity(machine.thread) == {last.cpu}


def test_it_moves_on_when_others_need_its_cpu_and_stays_when_they_do_not(
    machine: Machine,
) -> None:
    one = machine.one_cpu()
    here = one.cpu
    for _ in range(20):
        machine.passes(5, 0.4, 0.4, own=0.4)
        one.look()
    assert one.cpu == here
    crowded = [0.1, 0.1]
    crowded[here] = 0.9
    looks = 0
    while one.cpu == here:
        machine.passes(5, *crowded, own=0.3)
        one.look()
        looks += 1
        assert looks < 50, "it never moves"
    assert os.sched_getaffinity(machine.thread) == {1 - here}


def test_two_on_one_cpu_do_not_follow_each_other_for_ever(
    machine: Machine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Machine(tmp_path_factory.mktemp("other"))
    try:
        pair = [machine.one_cpu(1), other.one_cpu(2)]
        for _ in range(50):
            busy = [sum(0.5 for one in pair if one.cpu == cpu) for cpu in (0, 1)]
            for place in (machine, other):
                place.passes(5, *busy, own=0.5)
            for one in pair:
                one.look()
            if pair[0].cpu != pair[1].cpu:
                return
        pytest.fail("they are still together")
    finally:
        other.end()


def test_a_process_moved_from_outside_chooses_among_the_cpus_that_are_left(
    machine: Machine,
) -> None:
    one = machine.one_cpu()
    left = 1 - one.cpu
    os.sched_setaffinity(machine.thread, {left})
    one.look()
    assert (one.cpu, machine.allowed()) == (left, {left})


@pytest.mark.parametrize("stat", [None, "cpu0 many\n", ""])
def test_without_readable_statistics_it_stays(machine: Machine, stat: str | None) -> None:
    one = machine.one_cpu()
    here = one.cpu
    (machine.proc / "stat").unlink()
    if stat is not None:
        (machine.proc / "stat").write_text(stat)
    one.look()
    assert one.cpu == here


def test_a_thread_that_has_ended_is_no_error(machine: Machine) -> None:
    (machine.proc / "self/task" / str(2**22 + 1)).mkdir()
    cpu = machine.one_cpu().cpu
    assert os.sched_getaffinity(machine.thread) == {cpu}
