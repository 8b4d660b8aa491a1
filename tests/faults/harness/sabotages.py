"""Workers that are broken on purpose (sabotage/*.py), and how the checker has to find them out."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.faults.harness.case import Answers, Case, Outcome, Step
from tests.faults.harness.matrix import QUEUE, freeze, run
from tests.faults.harness.neighbour_cases import IN, TODAY, as_today

SEED = 3


@dataclass(frozen=True, slots=True)
class Sabotage:
    """A module of sabotage/, a scenario that the sound worker passes, and the breach it shows."""

    module: str
    case: Case
    invariant: int
    sentence: str
    injected: str = ""
    events: int = 100


# Killed while some calls are sure to be under way.
_KILLED_AT_WORK = (
    Step("hang", "both", ids=12),
    Step("kill", 0, progress=0.2, pause=1),
    Step("clear", "both"),
)
SABOTAGES: Mapping[str, Sabotage] = {
    "deletes before it has handled": Sabotage(
        "delete_before_handling", Case(steps=_KILLED_AT_WORK, workers=1), 1, "is HOLD, not", "kill"
    ),
    "releases before the PATCH": Sabotage(
        "release_before_patch", Case(workers=1), 2, "release while it was HOLD"
    ),
    "ignores failures in band": Sabotage(
        "ignore_in_band_failure",
        Case(answers=(Answers(IN, {"error_code": 16, "name": "in band"}, 0.3),), workers=1),
        1,
        "RESERVED for",
        "inventory: in band",
    ),
    "does not check its leases": Sabotage(
        "no_lease_check",
        Case(steps=freeze(0, 0.2, 2), visibility=2, latency_ms=(100, 50), workers=1),
        4,
        "its visibility was over",
        "freeze",
    ),
    "forgets failed deletes": Sabotage(
        "forget_failed_deletes",
        Case({"delete_failed_sender": 0.3}, visibility=2, workers=1),
        3,
        "was handled again",
        "delete_failed_sender",
        40,
    ),
    "reads the queue's attributes once": Sabotage(
        "attributes_once",
        QUEUE["sqs: the visibility timeout is lowered"],
        4,
        "its visibility was over",
        "visibility",
        40,
    ),
    "releases a quantity again after its key is forgotten": Sabotage(
        "repeat_forgotten",
        as_today(TODAY["inventory: keys are forgotten"]),
        3,
        "release of a quantity took effect 2 times",
        "inventory: INTERNAL after",
    ),
    "has a breaker that ignores INTERNAL": Sabotage(
        "ignore_internal",
        # Few and quick tries, so that a busy machine uses them up, too, before the trouble ends.
        replace(
            as_today(TODAY["inventory: INTERNAL under load"]),
            env={"MAX_RETRIES": "1", "BACKOFF_BASE_MS": "1"},
        ),
        6,
        "retries_exhausted",
        "inventory: trouble",
    ),
    "retries poison": Sabotage(
        "retry_poison",
        # Slow enough that other messages are settled between the tries of a poison.
        Case(env={"MAX_RETRIES": "1", "BACKOFF_BASE_MS": "1"}, workers=1, latency_ms=(300, 200)),
        6,
        "poison",
    ),
}


def run_sabotaged(sabotage: Sabotage) -> Outcome:
    """What came of the scenario with the sabotaged worker."""
    command = [sys.executable, "-m", f"tests.faults.harness.sabotage.{sabotage.module}"]
    return run(sabotage.case, sabotage.events, SEED, command, limit=20.0)


def caught(sabotage: Sabotage, outcome: Outcome) -> bool:
    """Whether the checker named the invariant that the sabotage breaks, and why."""
    if sabotage.injected and not outcome.injected.get(sabotage.injected):
        return False
    return any(sabotage.sentence in line for line in outcome.broken[sabotage.invariant])
