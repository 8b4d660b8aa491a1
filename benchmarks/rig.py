"""The stubs, and contestants started beside them."""

import signal
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks.account import Moment, memory_mb, moment
from benchmarks.contestants import Contestant, Place
from benchmarks.quota import CpuQuota
from benchmarks.rows import Setup
from benchmarks.stubs.processes import CollectorStub, NeighboursStub, SqsStub
from reservation_worker.simulator.processes.child import Child
from reservation_worker.simulator.processes.ports import free_port

PATIENCE = 7200.0
"""The longest run, in seconds."""


class Process(Child):
    """One contestant's process; `base` is the URL of its HTTP port."""

    def __init__(
        self, name: str, command: list[str], env: dict[str, str], place: Path, port: int
    ) -> None:
        self.name = name
        self.base = f"http://127.0.0.1:{port}"
        super().__init__(command, env, place)


@dataclass(frozen=True)
class Rig:
    """The stubs, while they run."""

    directory: Path
    sqs: SqsStub
    neighbours: NeighboursStub
    collector: CollectorStub

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Self]:
        """Starts the stubs, and ends them on exit."""
        temporary = tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)
        with temporary as name:
            place = Path(name)
            with (
                SqsStub(place) as sqs,
                NeighboursStub(place) as neighbours,
                CollectorStub(place) as collector,
            ):
                yield cls(place, sqs, neighbours, collector)

    @property
    def stubs(self) -> list[int]:
        """Their process ids."""
        return [self.sqs.pid, self.neighbours.pid, self.collector.pid]

    def reset(self, setup: Setup, form: str = "plain") -> None:
        """An empty queue, its messages in a contestant's form, and the row's latencies."""
        self.sqs.reset(setup.sqs_ms, form)
        self.neighbours.latency(setup.latency_ms, setup.jitter_ms)
        self.collector.mark()

    def mark(self) -> None:
        """Reset the counts."""
        self.sqs.mark()
        self.neighbours.mark()
        self.collector.mark()

    @contextmanager
    def running(self, contestant: Contestant, setup: Setup) -> Iterator["Team"]:
        """The contestant's processes, ended gently. Raises QuotaError, ChildError."""
        with (
            tempfile.TemporaryDirectory(dir=self.directory, ignore_cleanup_errors=True) as place,
            ExitStack() as stack,
        ):
            members = []
            for number in range(setup.processes):
                command = list(contestant.command)
                if setup.cpus is not None:
                    quota = CpuQuota(setup.cpus)
                    stack.callback(quota.close)
                    command = quota.command(command)
                where = Place(
                    endpoint=self.sqs.control_base,
                    queue_url=self.sqs.queue_url,
                    inventory=self.neighbours.inventory_address,
                    reservation=self.neighbours.control_base,
                    otlp=self.collector.otlp_endpoint,
                    concurrency=setup.concurrency,
                    port=free_port(),
                )
                env = contestant.environment(where, setup.spans)
                name = f"{contestant.name}-{number}"
                member = Process(name, command, env, Path(place), where.port)
                stack.enter_context(member)
                members.append(member)
            team = Team(self, members, contestant.exits)
            yield team
            team.end()


class Team:
    """The processes of one contestant in one run."""

    def __init__(self, rig: Rig, members: list[Process], exits: Collection[int]) -> None:
        self._rig = rig
        self.members = members
        self._exits = exits

    def until(self, check: Callable[[], bool], what: str, pause: float = 0.02) -> None:
        """Wait while all of them live. Raises ChildError."""
        deadline = time.monotonic() + PATIENCE
        while not check():
            for member in self.members:
                if not member.alive:
                    code = member.wait(0)
                    raise member.error(f"ended with exit code {code} before it had {what}")
            if time.monotonic() > deadline:
                raise self.members[0].error(f"had not {what} after {PATIENCE:g} s")
            time.sleep(pause)

    def moment(self) -> Moment:
        """The clocks now."""
        return moment([member.pid for member in self.members], self._rig.stubs)

    def memory_mb(self) -> dict[str, float]:
        """Of the largest process, because a pod's limit applies to that."""
        return max((memory_mb(one.pid) for one in self.members), key=lambda found: found["rss_mb"])

    def end(self) -> None:
        """SIGTERM, with no long poll to wait for. Raises ChildError unless all exit as expected."""
        for member in self.members:
            member.signal(signal.SIGTERM)
        self._rig.sqs.drain()
        for member in self.members:
            if (code := member.wait(40)) not in self._exits:
                raise member.error(f"exited with {code}")
