"""The whole proof, about two and a half hours: scenarios, sabotages, fuzzing and the long runs.

python -m tests.faults.harness.campaign [--only PART ...] [--character NAME ...] [--seed N]
    [--out DIRECTORY]
"""

import argparse
import dataclasses
import json
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from reservation_worker.simulator.neighbours.character import Character
from tests.faults.harness.case import Outcome
from tests.faults.harness.long_run_checks import LongRun
from tests.faults.harness.long_runs import drain, outage, soak
from tests.faults.harness.matrix import CASES, run
from tests.faults.harness.neighbour_cases import IN, RS, named
from tests.faults.harness.sabotages import SABOTAGES, caught, run_sabotaged
from tests.fuzz.harness.parser import fuzz_parser
from tests.fuzz.harness.worker import Run

INVARIANTS = range(1, 8)
SOAK_EVENTS, DRAIN_STOPS, OUTAGE_SECONDS = 100_000, 200, 300.0
FUZZED_BODIES, FUZZED_THROUGH_WORKER, HEALTHY = 225_000, 5_000, 1_000


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A row of the report; `broken` has a sentence for each broken promise."""

    part: str
    name: str
    figures: Mapping[str, Any]
    broken: Sequence[str] = ()
    injected: Mapping[str, int] = dataclasses.field(default_factory=dict)
    held: Mapping[int, bool] = dataclasses.field(default_factory=dict)


def _scenario(name: str, seed: int) -> Row:
    outcome = run(name, seed=seed)
    broken = [] if outcome.ok else [outcome.explain()]
    if not outcome.faults:
        broken.append("nothing was injected")
    return _row("scenarios", name, outcome, broken)


def _row(part: str, name: str, outcome: Outcome, broken: Sequence[str]) -> Row:
    held = {number: not outcome.broken[number] for number in INVARIANTS}
    return Row(part, name, outcome.figures, broken, outcome.faults, held)


def _sabotage(name: str) -> Row:
    sabotage = SABOTAGES[name]
    outcome = run_sabotaged(sabotage)
    found = caught(sabotage, outcome)
    figures = {"breaks": sabotage.invariant, "caught": found}
    return Row("sabotages", name, figures, () if found else [outcome.explain()])


def _long(made: Callable[[], LongRun]) -> Row:
    result = made()
    row = _row("long runs", result.name, result.outcome, result.broken)
    return dataclasses.replace(row, figures={**result.outcome.figures, **result.figures})


def _fuzz_parser(seed: int) -> Row:
    figures = fuzz_parser(FUZZED_BODIES, seed)
    return Row("fuzzing", "the parser", dataclasses.asdict(figures), figures.broken)


def _fuzz_worker(seed: int, character: Character) -> Row:
    figures = Run(FUZZED_THROUGH_WORKER, HEALTHY, seed, character=character).go()
    name = named("a whole worker", character)
    return Row("fuzzing", name, dataclasses.asdict(figures), figures.broken)


def parts(seed: int, characters: Sequence[Character]) -> dict[str, list[Callable[[], Row]]]:
    """All runs with neighbours of these characters, by part.

    The parser knows no neighbours, and each sabotage has the ones that it shows with.
    """
    scenarios = [name for name, case in CASES.items() if case.character in characters]
    return {
        "scenarios": [partial(_scenario, name, seed) for name in scenarios],
        "sabotages": [partial(_sabotage, name) for name in SABOTAGES],
        "fuzzing": [
            partial(_fuzz_parser, seed),
            *(partial(_fuzz_worker, seed, character) for character in characters),
        ],
        "drain": [
            partial(_long, partial(drain, DRAIN_STOPS, seed, character)) for character in characters
        ],
        "outages": [
            partial(_long, partial(outage, target, OUTAGE_SECONDS, seed, character))
            for character in characters
            for target in (IN, RS, "both")
        ],
        "soak": [
            partial(_long, partial(soak, SOAK_EVENTS, seed, character)) for character in characters
        ],
    }


def report(rows: Sequence[Row]) -> str:
    """The report in Markdown."""
    lines = ["# Fault campaign", ""]
    scenarios = [row for row in rows if row.part == "scenarios"]
    if scenarios:
        lines += [
            f"| scenario | injected | {' | '.join(map(str, INVARIANTS))} |",
            f"|---|---|{'---|' * len(INVARIANTS)}",
        ]
        for row in scenarios:
            held = " | ".join("held" if row.held.get(number) else "BROKEN" for number in INVARIANTS)
            lines.append(f"| {row.name} | {_injected(row)} | {held} |")
        lines.append("")
    for row in rows:
        if row.part != "scenarios":
            lines += [f"- {row.part}, {row.name}: `{json.dumps(row.figures)}`"]
    broken = [row for row in rows if row.broken]
    lines += ["", f"{len(rows)} runs, {len(broken)} with a broken promise."]
    for row in broken:
        lines += ["", f"## Broken: {row.name}", "", "```", *row.broken, "```"]
    return "\n".join(lines) + "\n"


def _injected(row: Row) -> str:
    kinds = ", ".join(f"{name} {count}" for name, count in row.injected.items())
    return f"{sum(row.injected.values())}: {kinds}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run it, with a line for each run on stderr; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="campaign", description="The whole proof.")
    parser.add_argument("--only", nargs="+", choices=parts(0, []), default=[], metavar="PART")
    both = list(Character)
    parser.add_argument("--character", nargs="+", type=Character, choices=both, default=both)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/faults"))
    args = parser.parse_args(argv)
    chosen = [
        (name, one)
        for name, ones in parts(args.seed, args.character).items()
        if not args.only or name in args.only
        for one in ones
    ]
    args.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for number, (part, one) in enumerate(chosen, 1):
        began = time.monotonic()
        try:
            row = one()
        except Exception:
            # It costs its own row, not the runs of the hours before and after it.
            row = Row(part, f"run {number}", {}, [traceback.format_exc()])
        rows.append(row)
        result = "BROKEN" if row.broken else "ok"
        seconds = time.monotonic() - began
        sys.stderr.write(
            f"[{number}/{len(chosen)}] {row.part}: {row.name}: {result}, {seconds:.0f} s\n"
        )
        # After each run, so that an interrupted campaign leaves a report.
        (args.out / "report.md").write_text(report(rows))
        everything = [dataclasses.asdict(row) for row in rows]
        (args.out / "report.json").write_text(json.dumps(everything, indent=1))
    sys.stderr.write(f"the report is {args.out / 'report.md'}\n")
    return 1 if any(row.broken for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main())
