"""Measures the worker against its goals, on stubs that cost it nothing.

Usage: python -m benchmarks.bench [--quick] [--rounds 3] [--rows "40 ms"] [--out build/bench]
       python -m benchmarks.bench --compare REVISION [--quick] [--rounds 7]

Every round runs its rows in another order, so that other load on the machine affects them all. The
peers are installed first, which takes a minute; if that fails their rows are not measured.
Progress goes to stderr, the tables to stdout and, with all figures, to the directory.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import compare
from benchmarks.account import machine
from benchmarks.contestants import CONTESTANTS, PEERS
from benchmarks.figures import medians, spreads
from benchmarks.peers.install import install
from benchmarks.report import evaluate, goal_table, number, other_table, peer_table, row_table
from benchmarks.rig import Rig
from benchmarks.rows import GOALS, ROWS, Row
from benchmarks.scenarios import SCENARIOS


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 even if goals are missed; 1 if a row could not be measured, 2 for no row.

    With --compare those of compare.main.
    """
    args = _parser().parse_args(argv)
    if args.compare:
        began = time.monotonic()
        rounds = args.rounds or (compare.QUICK if args.quick else compare.ROUNDS)
        return compare.main(args.compare, rounds, lambda text: say(began, text))
    rows = chosen(args.rows, quick=args.quick)
    if not rows:
        sys.stderr.write(f"no row is named like {args.rows!r}; there are:\n")
        sys.stderr.writelines(f"  {row.name}\n" for row in ROWS)
        return 2
    rounds = args.rounds or (1 if args.quick else 3)
    absent = without_peers(rows)
    rows = [row for row in rows if row.name not in absent]
    before = machine()
    found, failed = measure(rows, rounds, quick=args.quick)
    figures = {name: medians(runs) for name, runs in found.items()}
    spread = {name: spreads(runs) for name, runs in found.items()}
    goal_results = [evaluate(goal, figures) for goal in GOALS]
    tables = (
        goal_table(goal_results),
        row_table(figures, spread),
        peer_table(figures, rows, {one.name: one.lacks for one in CONTESTANTS.values()}),
        other_table(figures),
    )
    text = "\n".join(tables)
    args.out.mkdir(parents=True, exist_ok=True)
    document = {
        "machine": before,
        "form": "quick" if args.quick else "full",
        "rounds": rounds,
        "rows": {
            row.name: {
                "setup": {name: getattr(row.setup, name) for name in row.setup.__slots__},
                "events": row.quick if args.quick else row.events,
                "contestant": row.contestant,
                "median": figures[row.name],
                "spread_percent": spread[row.name],
                "runs": found[row.name],
            }
            for row in rows
            if row.name in found
        },
        "failed": failed,
        "absent": absent,
        "contestants": {
            name: {"settings": one.settings, "lacks": one.lacks}
            for name, one in CONTESTANTS.items()
            if any(row.contestant == name for row in rows)
        },
        "goals": [
            {"goal": one.goal.what, "bound": one.goal.bound, "value": one.value, "met": one.met}
            for one in goal_results
        ],
    }
    (args.out / "results.json").write_text(json.dumps(document, indent=2) + "\n")
    (args.out / "results.md").write_text(text)
    print(text)
    for name, why in {**absent, **failed}.items():
        print(f"not measured: {name}: {why}")
    return 1 if failed else 0


def chosen(names: Sequence[str], *, quick: bool) -> list[Row]:
    """The rows of this form, or those whose names contain one of `names`, and those beside them."""
    if names:
        named = [row for row in ROWS if any(name in row.name for name in names)]
        beside = {name for row in named for name in row.beside}
        found = [row for row in ROWS if row in named or row.name in beside]
    else:
        found = [row for row in ROWS if not row.long]
    return [row for row in found if row.quick or not quick]


def without_peers(rows: Sequence[Row]) -> dict[str, str]:
    """Install the peers of `rows`; returns by row why it can't be measured."""
    peers = [row for row in rows if CONTESTANTS[row.contestant] in PEERS]
    why = install(lambda text: sys.stderr.write(f"{text}\n")) if peers else {}
    needs = {row.name: Path(CONTESTANTS[row.contestant].command[0]).name for row in peers}
    return {name: why[command] for name, command in needs.items() if command in why}


def measure(
    rows: Sequence[Row], rounds: int, *, quick: bool
) -> tuple[dict[str, list[dict[str, float]]], dict[str, str]]:
    """The figures of every run by row, and the reasons of failed rows."""
    found: dict[str, list[dict[str, float]]] = {row.name: [] for row in rows}
    failed: dict[str, str] = {}
    began = time.monotonic()
    with Rig.started() as rig:
        for turn in range(rounds):
            shift = turn * len(rows) // rounds
            for row in [*rows[shift:], *rows[:shift]]:
                if row.name in failed or (row.once and turn):
                    continue
                events = row.quick if quick else row.events
                try:
                    figures = SCENARIOS[row.scenario](rig, row, events)
                except Exception as error:  # one failed row must not lose an hour of others
                    failed[row.name] = str(error) or repr(error)
                    say(began, f"{row.name}: FAILED {failed[row.name].splitlines()[0]}")
                    continue
                found[row.name].append(figures)
                say(began, f"round {turn + 1}/{rounds}  {row.name}: {_short(figures)}")
    return {name: runs for name, runs in found.items() if runs}, failed


def say(began: float, text: str) -> None:
    """Print progress to stderr."""
    sys.stderr.write(f"{time.monotonic() - began:6.0f} s  {text}\n")
    sys.stderr.flush()


def _short(figures: dict[str, Any]) -> str:
    names = ("events_per_s", "cpu_ms", "p95_ms", "rss_mb", "cpu_s", "calls_per_hour")
    return ", ".join(f"{name} {number(figures[name])}" for name in names if name in figures)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the main rows once, under a minute")
    parser.add_argument("--rounds", type=int, default=0, help="runs of each row (3; quick: 1)")
    parser.add_argument("--rows", nargs="+", default=[], help="only rows with this in their name")
    parser.add_argument(
        "--compare",
        metavar="REVISION",
        help="CPU per event of the working tree against that of REVISION",
    )
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="for the results")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
