"""Input fuzzing: mutated bodies through the parser, and through a whole worker among sound events.

python -m tests.fuzz.harness.run [--examples 200000] [--through-worker 5000] [--seed 1]
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reservation_worker.simulator.neighbours.character import Character
from tests.faults.harness.neighbour_cases import named
from tests.fuzz.harness.parser import ParserFigures, fuzz_parser
from tests.fuzz.harness.worker import Run, WorkerFigures

PARSER = ("events/parse.py", "events/envelopes.py")


def coverage_of(examples: int, seed: int) -> dict[str, dict[str, Any]]:
    """The parser fuzzing's coverage by file: percent of lines and branches, missing lines.

    In a process of its own, for a module's first lines run but once.
    """
    # The measuring of the tests themselves, if they are being measured, stays out of it.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory) / "data"
        coverage = [sys.executable, "-m", "coverage"]
        include = ",".join(f"*/reservation_worker/{name}" for name in PARSER)
        files = ["--rcfile=/dev/null", f"--data-file={data}"]
        measured = ["-m", "tests.fuzz.harness.run", f"--examples={examples}", f"--seed={seed}"]
        measured += ["--through-worker=0", "--coverage=0"]
        subprocess.run(
            [*coverage, "run", *files, "--branch", f"--include={include}", *measured],
            check=True,
            stdout=subprocess.DEVNULL,
            env=env,
        )
        report = f"{data}.json"
        command = [*coverage, "json", *files, "-o", report]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=env)
        found = json.loads(Path(report).read_text())["files"]
    return {
        Path(name).name: {
            "percent": round(one["summary"]["percent_covered"], 2),
            "branches": f"{one['summary']['covered_branches']}/{one['summary']['num_branches']}",
            "missing_lines": one["missing_lines"],
            "missing_branches": one["missing_branches"],
        }
        for name, one in found.items()
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run both parts and print a JSON line for each; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="fuzz", description="Input fuzzing.")
    parser.add_argument("--examples", type=int, default=200_000, help="for the parser")
    parser.add_argument("--through-worker", type=int, default=5_000, help="for a whole worker")
    parser.add_argument("--healthy", type=int, default=1_000, help="sound events beside them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--coverage", type=int, default=5_000, help="examples to measure it with")
    args = parser.parse_args(argv)
    ok = True
    if args.examples:
        figures = fuzz_parser(args.examples, args.seed)
        ok = ok and figures.ok
        _print("parser", figures)
    if args.coverage:
        sys.stdout.write(json.dumps({"coverage": coverage_of(args.coverage, args.seed)}) + "\n")
    for character in Character if args.through_worker else ():
        worker = Run(args.through_worker, args.healthy, args.seed, character=character).go()
        ok = ok and worker.ok
        _print(named("worker", character), worker, slowed=worker.slowed)
    return 0 if ok else 1


def _print(name: str, figures: ParserFigures | WorkerFigures, **more: float) -> None:
    row = {name: dataclasses.asdict(figures) | more, "ok": figures.ok}
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
