"""Compares the CPU time per event of the working tree with that of another revision.

Both run beside each other, in turn, with the same dependencies: those of this environment.
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.contestants import OURS, Contestant
from benchmarks.report import number, table
from benchmarks.rig import Rig
from benchmarks.rows import ROWS
from benchmarks.scenarios import settled

COMPARED = ("40 ms, all spans", "0 ms, no spans")
EVENTS = 2_048
ROUNDS = 7
QUICK = 3
_TREE = Path(__file__).resolve().parents[1]

Costs = Mapping[str, Sequence[tuple[float, float]]]
"""By row, the CPU ms per event of each round: the revision's, the working tree's."""


class RevisionError(Exception):
    """Git knows no such revision."""


@contextmanager
def revision(name: str, tree: Path = _TREE) -> Iterator[Contestant]:
    """The worker as it was at a revision of the repository at `tree`. Raises RevisionError."""
    with tempfile.TemporaryDirectory(prefix="revision-", ignore_cleanup_errors=True) as place:
        archive = ["git", "-C", str(tree), "archive", name, "reservation_worker"]
        packed = subprocess.run(archive, capture_output=True, check=False)  # noqa: S603
        if packed.returncode:
            raise RevisionError(packed.stderr.decode(errors="replace").strip())
        subprocess.run(["tar", "-x", "-C", place], input=packed.stdout, check=True)  # noqa: S603, S607
        yield replace(OURS, env={**OURS.env, "PYTHONPATH": place})


def compare(name: str, rounds: int, say: Callable[[str], None]) -> Costs:
    """Measure both. Raises RevisionError, ChildError."""
    costs: dict[str, list[tuple[float, float]]] = {row: [] for row in COMPARED}
    setups = {row.name: row.setup for row in ROWS}
    with revision(name) as before, Rig.started() as rig:
        for turn in range(rounds):
            for row in COMPARED:
                pair = {}
                # Each goes first in every other round, because the machine may get busier
                # meanwhile.
                for one in (before, OURS) if turn % 2 else (OURS, before):
                    pair[one is OURS] = settled(rig, one, setups[row], EVENTS)["cpu_ms"]
                costs[row].append((pair[False], pair[True]))
                shown = f"{number(pair[False])} -> {number(pair[True])}"
                say(f"round {turn + 1}/{rounds}  {row}: CPU ms/event {shown}")
    return costs


def comparison_table(name: str, costs: Costs) -> str:
    """A line for each row: medians, and the ratio within a round with its range over all rounds."""
    lines = []
    for row, pairs in costs.items():
        ratios = [after / before for before, after in pairs]
        medians = [number(statistics.median(each)) for each in zip(*pairs, strict=True)]
        middle = f"{statistics.median(ratios):.3f}"
        lines.append((row, *medians, middle, f"{min(ratios):.3f} to {max(ratios):.3f}"))
    head = ("CPU ms/event", name, "working tree", "ratio", "range of the ratio")
    return table(head, lines)


def main(name: str, rounds: int, say: Callable[[str], None]) -> int:
    """Prints the table. Exit code 0 whatever the ratios are; 2 for an unknown revision."""
    try:
        costs = compare(name, rounds, say)
    except RevisionError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    print(comparison_table(name, costs), end="")
    return 0
