"""All fault scenarios as data, and `run`, which decides the invariants of each.

python -m tests.faults.harness.matrix [--events 300] [--seed 1] [NAME ...]
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from reservation_worker.simulator.neighbours.character import Character
from tests.faults.harness.case import Answers, Case, Outcome, Step
from tests.faults.harness.machine import (
    BLOCKED_PIPE,
    CLOCK,
    CLOSED_PIPE,
    FULL_DISK,
    HANGING_COLLECTOR,
)
from tests.faults.harness.neighbour_cases import (
    IN,
    NEIGHBOURS,
    RS,
    TODAY,
    as_today,
    named,
    outage,
)
from tests.faults.harness.runner import ENV, Run
from tests.sqs_proxy.faults import FAULTS


def _slow(sqs: Mapping[str, Any]) -> Case:
    """Calls so slow that leases need renewing, some ending in a retry: visibility is busy."""
    return Case(
        sqs,
        (Answers(RS, {"status": 503, "name": "503"}, 0.1),),
        latency_ms=(700, 500),
        visibility=4,
        env={"CALL_TIMEOUT": "2"},
    )


def _kills(count: int, action: str = "kill") -> tuple[Step, ...]:
    return tuple(
        Step(action, number % 2, progress=0.8 * (number + 1) / count) for number in range(count)
    )


def freeze(
    worker: int = 0, progress: float = 0.3, visibility: int = Case().visibility
) -> tuple[Step, ...]:
    """SIGSTOP for longer than any lease: the visibility timeout plus a receive's possible delay."""
    pause = visibility + int(ENV["SQS_WAIT_TIME"]) + 2
    return (Step("freeze", worker, progress), Step("thaw", worker, pause=pause))


SQS_ALONE: Mapping[str, Case] = {
    "sqs: duplicate deliveries": Case({"duplicate_delivery": 0.3}),
    "sqs: duplicate deliveries to one worker": Case({"duplicate_delivery": 0.3}, workers=1),
    "sqs: delivered again after the delete": Case({"duplicate_after_delete": 0.2}),
    "sqs: out of order": Case({"reorder": 0.3}),
    "sqs: delete fails by the sender": Case({"delete_failed_sender": 0.2}),
    "sqs: delete fails by the server": Case({"delete_failed_server": 0.3}),
    "sqs: delete answered but not done": Case({"delete_lost": 0.2}),
    "sqs: visibility fails by the sender": _slow({"visibility_failed_sender": 0.2}),
    "sqs: visibility fails by the server": _slow({"visibility_failed_server": 0.3}),
    "sqs: stale receipts": _slow({"stale_receipt": 0.2}),
    "sqs: errors 500": Case({"error_500": 0.25}),
    "sqs: throttled": Case({"throttled": 0.25}),
    "sqs: expired credentials": Case({"expired_credentials": 0.15}),
    "sqs: hangs": Case({"hang": {"rate": 0.1, "seconds": 6}}),
    "sqs: connections reset": Case({"reset": 0.2}),
    "sqs: connections reset after the effect": Case({"reset_after": 0.2}),
    "sqs: slow polls": Case({"slow_poll": {"rate": 0.3, "seconds": 1.5}}),
    "sqs: ghost receives": Case({"ghost_receive": 0.2}),
    "sqs: dead letters can't be sent": Case(
        {"error_500": {"rate": 0.6, "actions": ["SendMessage"]}}
    ),
}

# Read each second: the worker's own watch looks once a minute.
_WATCHED = "tests.faults.harness.sabotage.quick_watch"
QUEUE: Mapping[str, Case] = {
    "sqs: the visibility timeout is lowered": Case(
        steps=(Step("visibility", "queue", value=2),),
        visibility=8,
        latency_ms=(1000, 500),
        env={"CALL_TIMEOUT": "2"},
        quiet=2.5,
        module=_WATCHED,
    ),
    "sqs: the dead-letter queue is another": Case(steps=(Step("move_dlq", "queue"),)),
}

_RARE = 0.04
_DUPLICATES = {"duplicate_delivery": 0.1}
ALL_SQS: dict[str, object] = {
    **dict.fromkeys(
        [name for name in FAULTS if name not in ("hang", "slow_poll", "access_denied")],
        _RARE,
    ),
    "hang": {"rate": 0.01, "seconds": 6},
    "slow_poll": {"rate": _RARE, "seconds": 1.5},
}

_HALF_BAD = (
    Answers(RS, {"status": 503, "name": "503"}, 0.04),
    Answers(RS, {"reset": True, "name": "reset after"}, 0.04, after=True),
    Answers(IN, {"code": "UNAVAILABLE"}, 0.04),
    Answers(IN, {"error_code": 16, "name": "in band after"}, 0.04, after=True),
    Answers("both", {"sleep": 1.5, "name": "past the deadline after"}, 0.01, after=True),
)
PROCESS: Mapping[str, Case] = {
    "process: SIGTERM": Case(steps=_kills(4, "term")),
    "process: SIGKILL": Case(steps=_kills(5)),
    "process: frozen beyond its leases, alone": Case(
        steps=freeze(), workers=1, latency_ms=(60, 50)
    ),
    "process: frozen, another takes over": Case(
        steps=freeze() + freeze(1, 0.5), latency_ms=(60, 50)
    ),
    "process: frozen, and stale receipts work": Case(
        {"stale_works": 1.0}, steps=freeze() + freeze(1, 0.5), latency_ms=(60, 50)
    ),
    "process: three workers": Case({"duplicate_delivery": 0.2, "reorder": 0.2}, workers=3),
}


def _both(action: str, progress: float, value: float = 0.0, pause: float = 0.0) -> tuple[Step, ...]:
    return tuple(
        Step(action, number, progress, pause if number == 0 else 0.0, value=value)
        for number in (0, 1)
    )


_HOUR = 3600.0
MACHINE: Mapping[str, Case] = {
    "machine: stdout is a full disk": Case(_DUPLICATES, machine=(FULL_DISK,)),
    "machine: stdout is a closed pipe": Case(_DUPLICATES, machine=(CLOSED_PIPE,)),
    "machine: nobody reads its output": Case(
        _DUPLICATES, steps=_kills(2, "term"), machine=(BLOCKED_PIPE,)
    ),
    "machine: the span collector hangs": Case(
        steps=_kills(2, "term"), machine=(HANGING_COLLECTOR,)
    ),
    "machine: the clock steps": Case(
        _DUPLICATES,
        steps=_both("clock", 0.2, _HOUR) + _both("clock", 0.4, -_HOUR) + _both("clock", 0.6),
        machine=(CLOCK,),
    ),
    "machine: the clock steps while leases end": Case(
        {"visibility_failed_server": 0.3},
        (Answers(RS, {"status": 503, "name": "503"}, 0.1),),
        _both("clock", 0.2, -_HOUR) + _both("clock", 0.5, _HOUR),
        latency_ms=(700, 500),
        visibility=4,
        env={"CALL_TIMEOUT": "2"},
        machine=(CLOCK,),
    ),
    "machine: no more file descriptors": Case(
        steps=(*_both("fds", 0.2), Step("restart", "both"), *_both("unlimit", 0.0, pause=4)),
    ),
    "machine: no memory for more threads": Case(steps=_both("memory", 0.0), may_die=True),
    "machine: no memory for big answers": Case(
        answers=(
            Answers(RS, {"status": 200, "body_bytes": 900_000, "name": "0.9 MB"}, 0.1, after=True),
            Answers(IN, {"message_bytes": 3_000_000, "name": "3 MB"}, 0.1, after=True),
        ),
        steps=_both("memory", 0.2, 500_000) + _both("unlimit", 0.0, pause=6),
        may_die=True,
    ),
}

MIXED: Mapping[str, Case] = {
    "sqs: all at once": Case(ALL_SQS),
    "mixed: everything fails a little": Case(ALL_SQS, _HALF_BAD),
    "mixed: everything fails and workers are killed": Case(ALL_SQS, _HALF_BAD, _kills(3)),
    "mixed: everything fails and workers freeze": Case(
        ALL_SQS, _HALF_BAD, freeze(0, 0.2) + freeze(1, 0.5), workers=3
    ),
    "mixed: everything fails, with an outage": Case(
        ALL_SQS, _HALF_BAD, outage("both") + _kills(1, "term")
    ),
}

# False answers meet copies of their messages, in the other worker at best.
_NEIGHBOURS = {name: replace(case, sqs=_DUPLICATES) for name, case in NEIGHBOURS.items()}
_BOTH = {**SQS_ALONE, **QUEUE, **_NEIGHBOURS, **PROCESS, **MACHINE, **MIXED}
CASES: Mapping[str, Case] = {
    **_BOTH,
    **{
        named(name, Character.TODAY): as_today(case)
        for name, case in {**_BOTH, **TODAY}.items()
        if name != "grpc: fails in band"
    },
}
"""Each with the contract's neighbours and, as `today: ...`, with today's."""


def run(
    name: str | Case,
    events: int = 300,
    seed: int = 1,
    command: Sequence[str] = (),
    limit: float = 120.0,
) -> Outcome:
    """Run a scenario of `CASES` or a new one; `command` starts another worker."""
    case = CASES[name] if isinstance(name, str) else name
    label = name if isinstance(name, str) else "a case of its own"
    return Run(label, case, events, seed, command).go(limit)


def main(argv: Sequence[str] | None = None) -> int:
    """Run scenarios and print a JSON line for each; 1 if an invariant was broken."""
    parser = argparse.ArgumentParser(prog="matrix", description="The fault scenarios.")
    parser.add_argument("names", nargs="*", help="all that contain one of these; none: all")
    parser.add_argument("--events", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for one of them")
    args = parser.parse_args(argv)
    code = 0
    for name in CASES:
        if args.names and not any(part in name for part in args.names):
            continue
        outcome = run(name, args.events, args.seed, limit=args.limit)
        held = {number: not lines for number, lines in outcome.broken.items()}
        row = {"case": name, "ok": outcome.ok, "held": held}
        row |= {"injected": outcome.injected, "figures": outcome.figures}
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()
        if not outcome.ok:
            sys.stderr.write(outcome.explain() + "\n")
            code = 1
    return code


if __name__ == "__main__":
    raise SystemExit(main())
