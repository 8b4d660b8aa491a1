"""Mutated bodies among sound events through a whole worker: real queue, neighbours and process."""

import statistics
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.processes.child import ChildError, poll_until
from reservation_worker.simulator.processes.stack import Stack
from reservation_worker.simulator.processes.worker import WorkerProcess
from reservation_worker.simulator.story.scenario import Message, Scenario, build
from tests.fuzz.harness.fates import SETTLED, choose
from tests.fuzz.harness.worker_checks import Accounts, check_accounts

ENV = {"SQS_WAIT_TIME": "1", "SHUTDOWN_TIMEOUT": "12"}
ROUND = 500
PATIENCE = 60.0
# Enough to keep all threads busy, little enough that an event's latency is not the queue's.
_OUTSTANDING = 20


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """What came of the bodies; `broken` has a plain sentence for each breach.

    Latencies are of sound events only, in milliseconds from the receive to the outcome: alone, and
    beside the mutated bodies.
    """

    bodies: int
    healthy: int
    seed: int
    seconds: float
    fates: Mapping[str, int]
    known: Mapping[str, int]
    mutations: Mapping[str, int]
    largest_body: int
    median_ms_alone: float
    median_ms_beside: float
    p95_ms_alone: float
    p95_ms_beside: float
    rss_mb_alone: int
    rss_mb_most: int
    rss_mb_at_end: int
    longest_log_line: int
    broken: tuple[str, ...]

    @property
    def slowed(self) -> float:
        """The slow-down of a sound event by the mutated bodies, as a factor (median)."""
        return round(self.median_ms_beside / (self.median_ms_alone or 1), 2)

    @property
    def ok(self) -> bool:
        """Each sound event and each body was settled by the contract."""
        return not self.broken


class Run:
    """Sends so many mutated bodies among half of the healthy events, after the other half alone.

    `command` is another worker's. What a round of them has not settled in `patience` seconds
    counts as lost. `character` is the neighbours'. The figures are computed from `sent`, `story`
    and `accounts`.
    """

    def __init__(
        self,
        bodies: int,
        healthy: int,
        seed: int,
        command: Sequence[str] = (),
        patience: float = PATIENCE,
        character: Character = Character.CONTRACT,
    ) -> None:
        self.seed, self.command, self.patience = seed, list(command), patience
        self.story: Scenario = build(healthy, seed)
        self.sent = choose(bodies, seed, self.story)
        self.stack = Stack(latency_ms=10, jitter_ms=5, character=character)
        self.accounts = Accounts()
        self.looks = 0

    def go(self) -> WorkerFigures:
        """Raises ChildError."""
        with self.stack:
            self._seed()
            self.worker = self.stack.worker(ENV)
            self.worker.command = self.command or self.worker.command
            self.worker.start()
            self.worker.ready()
            began = time.monotonic()
            first = self.story.phase(0)
            alone, beside = first[: len(first) // 2], first[len(first) // 2 :]
            settled = self._settle(alone)
            lines_alone = len(self.worker.log_lines())
            rss_alone = self.accounts.most_rss_mb
            for messages in (*self._rounds(beside), self.story.phase(1)):
                # What is stuck once would be stuck in every round.
                settled = settled and self._settle(messages)
            seconds = time.monotonic() - began
            rss_at_end = _rss_mb(self.worker)
            self._take_stock()
        return self._figures(seconds, lines_alone, rss_alone, rss_at_end)

    def _seed(self) -> None:
        records = [one.mutant.record for one in self.sent if one.fate == SETTLED]
        known = [record for record in records if record is not None]
        places = {one.event_id: one.quantity for one in known if not one.seat_ids}
        self.stack.neighbours.seed([*self.story.seeds, *known], {**self.story.pools, **places})

    def _rounds(self, beside: list[Message]) -> list[list[Message]]:
        """Both kinds in equal parts in every round; a dead-letter queue that is read in one go."""
        messages = [one.message for one in self.sent]
        count = max(1, -(-len(messages) // ROUND))
        rounds = [messages[number::count] + beside[number::count] for number in range(count)]
        for mixed in rounds:
            Random(self.seed).shuffle(mixed)
        return rounds

    def _settle(self, messages: Sequence[Message]) -> bool:
        """Publish no faster than they are settled; then read and empty the dead-letter queue."""
        feed = list(messages)
        calm = 0

        def done() -> bool:
            nonlocal calm
            depth = self.stack.depth()
            room = max(0, _OUTSTANDING - depth)
            self.stack.publish(feed[:room])
            del feed[:room]
            self.looks += 1
            if self.looks % 10 == 0:
                self._look()
            calm = calm + 1 if not feed and depth == 0 else 0
            return calm == 2 or not self.worker.alive

        settled = poll_until(done, self.patience + len(feed) / 20, 0.03)
        self._look()
        letters = self.stack.dead_letters()
        self.accounts.letters += letters
        self.stack.client.purge_queue(QueueUrl=self.stack.dlq_url)
        sys.stderr.write(
            f"worker: {len(messages)} sent, settled: {settled}, {len(letters)} dead letters,"
            f" {self.accounts.most_rss_mb} MB\n"
        )
        return settled and self.worker.alive

    def _look(self) -> None:
        accounts = self.accounts
        try:
            accounts.most_rss_mb = max(accounts.most_rss_mb, _rss_mb(self.worker))
            accounts.metrics = self.worker.metrics()
        except (ChildError, OSError):
            return  # whether it lives and answers is asked at the end
        states = accounts.metrics.by("worker_breaker_state", "neighbour").values()
        accounts.worst_breaker = max(accounts.worst_breaker, *states, 0)

    def _take_stock(self) -> None:
        stack, accounts, worker = self.stack, self.accounts, self.worker
        self._look()
        accounts.health = worker.health()[0]
        accounts.depth = stack.depth()
        accounts.dump = stack.neighbours.ledger()
        accounts.calls = [call for rows in stack.neighbours.calls().values() for call in rows]
        worker.stop(timeout=20)
        accounts.exit_code = worker.wait(0)
        accounts.lines = worker.log_lines()
        output = worker.stdout.read_text().splitlines() + worker.stderr.read_text().splitlines()
        accounts.noise = [line for line in output if not line.startswith("{")]
        self.longest = max((len(line) for line in output), default=0)

    def _figures(
        self, seconds: float, lines_alone: int, rss_alone: int, rss_at_end: int
    ) -> WorkerFigures:
        lines = self.accounts.lines
        alone, beside = self._latencies(lines[:lines_alone]), self._latencies(lines[lines_alone:])
        return WorkerFigures(
            bodies=len(self.sent),
            healthy=len(self.story.messages),
            seed=self.seed,
            seconds=round(seconds, 1),
            fates=dict(Counter(one.fate for one in self.sent)),
            known=dict(Counter(one.mutant.expected for one in self.sent)),
            mutations=dict(Counter(one.mutant.name for one in self.sent)),
            largest_body=max((len(one.message.body) for one in self.sent), default=0),
            median_ms_alone=round(_quantile(alone, 50), 1),
            median_ms_beside=round(_quantile(beside, 50), 1),
            p95_ms_alone=round(_quantile(alone, 95), 1),
            p95_ms_beside=round(_quantile(beside, 95), 1),
            rss_mb_alone=rss_alone,
            rss_mb_most=self.accounts.most_rss_mb,
            rss_mb_at_end=rss_at_end,
            longest_log_line=self.longest,
            broken=tuple(check_accounts(self.sent, self.story, self.accounts)),
        )

    def _latencies(self, lines: Sequence[Mapping[str, object]]) -> list[float]:
        return [
            float(str(line["duration_ms"]))
            for line in lines
            if line.get("reservation_id") in self.story.expected
            and line.get("outcome") in ("success", "dropped", "failed")
        ]


def _quantile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1] if len(values) > 1 else 0.0


def _rss_mb(worker: WorkerProcess) -> int:
    return worker.status("VmRSS") // 1024 if worker.alive else 0
