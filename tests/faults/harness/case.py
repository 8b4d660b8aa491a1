"""What a fault scenario is made of: plain data, to be printed and repeated when a run fails."""

import pprint
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.reconcile.report import Report


@dataclass(frozen=True, slots=True)
class Answers:
    """A neighbour's false answers, a `rate` of all while the run lasts."""

    target: str
    answer: Mapping[str, Any]
    rate: float
    after: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens once: at `progress` (share of the work) and `pause` seconds later.

    kill, term, freeze, thaw: worker number `target`. down, hang, restart, trouble (its database
    does not answer), clear: the neighbour. black_hole: the connections to inventory that exist
    carry nothing any more. visibility: the queue's is `value` seconds from now on; move_dlq: its
    letters go to another queue, and the one of before is deleted.
    clock: the worker's wall clock is `value` seconds off from now on. fds, memory: it gets no more
    than `value` file descriptors or bytes beyond what it has; unlimit: as many as it likes.
    """

    action: str
    target: str | int = 0
    progress: float = 0.0
    pause: float = 0.0
    after: bool = False
    ids: int = 0
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario: faults of SQS (see tests/sqs_proxy/faults.py), of the neighbours, of the process.

    `machine` names what is wrong with the machine from the start (see machine.py). `backlog`: so
    many messages are kept in the queue until all are published; 0 publishes all at once. A worker
    that `may_die` is started again when /health is bad, as the kubelet does. `events`
    overrides the run's. `quiet`: seconds between the first steps and the first message. `module`
    is run in place of the worker's own. `key_ttl`: when inventory forgets a key, in seconds.
    `general_admission`: the share of reservations without numbered seats.
    """

    sqs: Mapping[str, Any] = field(default_factory=dict)
    answers: tuple[Answers, ...] = ()
    steps: tuple[Step, ...] = ()
    workers: int = 2
    latency_ms: tuple[float, float] = (20, 15)
    visibility: int = 5
    max_receive: int = 1000
    env: Mapping[str, str] = field(default_factory=dict)
    machine: tuple[str, ...] = ()
    backlog: int = 0
    may_die: bool = False
    events: int = 0
    quiet: float = 0.0
    module: str = ""
    character: Character = Character.CONTRACT
    key_ttl: float | None = None
    general_admission: float = 0.15


@dataclass(frozen=True, slots=True)
class Sample:
    """The sums over all workers at one moment; `at` is in seconds since the start of the run."""

    at: float
    settled: int
    receives: int
    rss_kb: int
    threads: int
    fds: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Stop:
    """The stop of a worker: its duration in seconds and its exit code."""

    worker: str
    seconds: float
    code: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A step that was taken, `at` seconds since the start of the run."""

    step: Step
    at: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run; `broken` has a sentence for each breach, by invariant.

    1 to 7 are the invariants of docs/reliability.md; 0 is for other promises.
    """

    name: str
    case: Case
    events: int
    seed: int
    report: Report
    injected: Mapping[str, int]
    figures: Mapping[str, Any]
    broken: Mapping[int, tuple[str, ...]]
    samples: Sequence[Sample] = ()
    stops: Sequence[Stop] = ()
    marks: Sequence[Mark] = ()

    @property
    def ok(self) -> bool:
        """Every invariant held."""
        return not any(self.broken.values())

    @property
    def faults(self) -> dict[str, int]:
        """The injected faults, without the exit codes."""
        return {name: n for name, n in self.injected.items() if not name.startswith("exit")}

    def explain(self) -> str:
        """Everything needed to understand and repeat a failing run."""
        shown = {number: list(lines[:10]) for number, lines in self.broken.items() if lines}
        return "\n".join(
            (
                f"run({self.name!r}, events={self.events}, seed={self.seed})",
                f"broken invariants: {pprint.pformat(shown, width=160)}",
                f"injected: {dict(self.injected)}",
                f"figures: {dict(self.figures)}",
                f"case: {pprint.pformat(self.case, width=160)}",
            )
        )
