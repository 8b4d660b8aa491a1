"""The long runs: a soak, many stops, and outages of minutes, with the worker's own defaults.

Each with the contract's neighbours and, as `today: ...`, with today's.

python -m tests.faults.harness.long_runs [--soak EVENTS] [--drain STOPS] [--outage SECONDS]
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from random import Random
from typing import Any

from reservation_worker.simulator.neighbours.character import Character
from tests.faults.harness.case import Answers, Case, Outcome, Step
from tests.faults.harness.long_run_checks import LongRun, check_drain, check_outage, check_soak
from tests.faults.harness.matrix import ALL_SQS
from tests.faults.harness.neighbour_cases import IN, RS, as_today, named
from tests.faults.harness.runner import Run

DEFAULTS = {
    "CALL_TIMEOUT": "10",
    "SQS_WAIT_TIME": "20",
    "MAX_RETRIES": "5",
    "BACKOFF_BASE_MS": "1000",
    "SHUTDOWN_TIMEOUT": "30",
}
"""The runner's settings are quick ones; these are the worker's own."""
KEY_TTL = 3600
"""How long today's inventory remembers a key in these runs, in seconds.

It is 300 where it runs, less than a run takes. A copy that its producer sends later than that is
released twice, a known limit (docs/reliability.md), and the story has such copies. The scenarios
have inventories that forget.
"""
AS_SHIPPED = Case(latency_ms=(40, 10), visibility=60, max_receive=30, env=DEFAULTS, backlog=1000)


def soak(events: int, seed: int, character: Character) -> LongRun:
    """Mixed faults all the time; each neighbour goes down for a while, and both restart once."""
    rare: dict[str, Any] = dict.fromkeys(ALL_SQS, 0.01)
    # Each of these costs a receive its batch and the poller a pause.
    rare |= dict.fromkeys(("reset", "reset_after", "error_500", "throttled"), 0.002)
    rare |= dict.fromkeys(("expired_credentials", "ghost_receive", "slow_poll"), 0.002)
    rare |= {"hang": {"rate": 0.0005, "seconds": 12}}
    answers = (
        Answers(RS, {"status": 503, "name": "503"}, 0.005),
        Answers(RS, {"reset": True, "name": "reset after"}, 0.005, after=True),
        Answers(RS, {"status": 429, "headers": {"Retry-After": "2"}, "name": "429"}, 0.005),
        Answers(IN, {"code": "UNAVAILABLE"}, 0.005),
        Answers(IN, {"error_code": 16, "name": "in band after"}, 0.005, after=True),
        Answers("both", {"sleep": 3, "name": "past the deadline after"}, 0.001, after=True),
    )
    steps = (
        Step("down", IN, 0.3),
        Step("clear", IN, pause=5),
        Step("restart", "both", 0.5),
        Step("down", RS, 0.7),
        Step("clear", RS, pause=5),
    )
    env = {"CALL_TIMEOUT": "2", "BACKOFF_BASE_MS": "100", "MAX_RETRIES": "10"}
    # As the image sets it: otherwise glibc gives each few threads another heap, and the free
    # memory in these heaps grows for hours.
    env["MALLOC_ARENA_MAX"] = "2"
    case = Case(rare, answers, steps, visibility=30, latency_ms=(10, 5), env=env, backlog=500)
    return check_soak(_go("soak", case, character, events, seed, limit=60 + events / 25))


def drain(stops: int, seed: int, character: Character) -> LongRun:
    """SIGTERM at random moments under load, two workers taking turns."""
    dice = Random(seed)
    steps = tuple(Step("term", number % 2, pause=dice.uniform(0.2, 2.0)) for number in range(stops))
    # Slow calls, so that a stop finds many under way and the load outlasts the stops.
    case = replace(AS_SHIPPED, steps=steps, latency_ms=(150, 100))
    return check_drain(_go("drain", case, character, 250 * stops, seed, limit=60 + 30 * stops))


def outage(target: str, seconds: float, seed: int, character: Character) -> LongRun:
    """A neighbour (or both) is gone for so long under load."""
    steps = (Step("down", target, 0.3), Step("clear", target, pause=seconds))
    case = replace(AS_SHIPPED, steps=steps)
    name = f"outage of {target}"
    return check_outage(_go(name, case, character, 20_000, seed, limit=seconds + 1800))


def _go(
    name: str, case: Case, character: Character, events: int, seed: int, limit: float
) -> Outcome:
    if character is Character.TODAY:
        env = {**case.env, "INVENTORY_KEY_TTL": str(KEY_TTL)}
        case = replace(as_today(case), key_ttl=KEY_TTL, env=env)
    return Run(named(name, character), case, events, seed).go(limit)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the chosen ones and print a JSON line for each; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="long_runs", description="Soak, drain, outages.")
    parser.add_argument("--soak", type=int, metavar="EVENTS", default=0)
    parser.add_argument("--drain", type=int, metavar="STOPS", default=0)
    parser.add_argument("--outage", type=float, metavar="SECONDS", default=0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args(argv)
    asked: list[Callable[[Character], LongRun]] = []
    if args.soak:
        asked.append(partial(soak, args.soak, args.seed))
    if args.drain:
        asked.append(partial(drain, args.drain, args.seed))
    if args.outage:
        asked += [partial(outage, target, args.outage, args.seed) for target in (IN, RS, "both")]
    code = 0
    for run, character in product(asked, Character):
        made = run(character)
        row = {"run": made.name, "ok": made.ok, "figures": made.figures}
        row |= {"injected": made.outcome.injected, "seconds": made.outcome.figures["seconds"]}
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()
        if not made.ok:
            sys.stderr.write("\n".join((*made.broken, made.outcome.explain(), "")))
            code = 1
    return code


if __name__ == "__main__":
    raise SystemExit(main())
