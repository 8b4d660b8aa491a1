"""The workers of one run: starts, disturbs, watches and stops them."""

import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

from reservation_worker.simulator.processes.child import ChildError
from reservation_worker.simulator.processes.worker import WorkerProcess
from tests.faults.harness.case import Step
from tests.faults.harness.fence import Frozen
from tests.faults.harness.machine import Machine
from tests.faults.harness.recorder import Recorder

# As the kubelet does: so many bad answers of /health in a row.
BAD_HEALTH = 3


class Workers:
    """All of a run. `url_for` is the proxy's URL for a worker's name; `recorder` is the run's."""

    def __init__(
        self, command: Sequence[str], url_for: Callable[[str], str], recorder: Recorder
    ) -> None:
        self.command, self.url_for, self.recorder = list(command), url_for, recorder
        self.processes: list[WorkerProcess] = []
        self.machines: list[Machine] = []
        self.names: list[str] = []
        self.starts = 0
        self.frozen_at: dict[int, float] = {}
        self.bad_health: Counter[int] = Counter()

    def add(self, worker: WorkerProcess, faults: tuple[str, ...], undo: ExitStack) -> None:
        """Start another one, on a machine with these faults."""
        self.processes.append(worker)
        self.machines.append(Machine(worker, faults, undo))
        self.names.append("")
        self._start(len(self.processes) - 1)

    def ready(self) -> None:
        """Wait until all are."""
        for worker in self.processes:
            worker.ready()

    def do(self, step: Step, number: int) -> None:
        """Take a step whose target is a worker."""
        worker = self.processes[number]
        match step.action:
            case "kill":
                worker.kill()
                self._start(number)
            case "term":
                self._end(number)
                self._start(number)
            case "freeze":
                self.frozen_at[number] = time.time()
                worker.suspend()
            case "thaw":
                worker.resume()
                since = self.frozen_at.pop(number)
                self.recorder.frozen.append(Frozen(self.names[number], since, time.time()))
            case "clock":
                self.machines[number].set_clock(step.value)
            case "fds" | "memory":
                self.machines[number].limit(step.action, int(step.value))
            case "unlimit":
                self.machines[number].unlimit()
            case other:
                raise ValueError(f"there is no step {other!r}")

    def sample(self, at: float) -> None:
        """Record all of them, `at` seconds since the start; those that died are started again."""
        total: Counter[str] = Counter()
        for number, worker in enumerate(self.processes):
            if number in self.frozen_at:
                continue
            if not worker.alive:
                self._died(number, f"{worker.name} ended by itself: {worker.tail()[-500:]}")
            with suppress(ChildError, OSError):  # it has just died: next time, then
                if self._probe(number):
                    total += self.recorder.look(worker)
        self.recorder.sample(total, at)

    def end(self) -> None:
        """Stop all of them."""
        for number in range(len(self.processes)):
            self._end(number)

    def _start(self, number: int) -> None:
        worker = self.processes[number]
        self.starts += 1
        # To the proxy each start is another worker, because it remembers nothing.
        self.names[number] = f"{worker.name}.{self.starts}"
        worker.env["AWS_ENDPOINT_URL"] = self.url_for(self.names[number])
        if self.command:
            worker.command = self.command
        worker.start()

    def _end(self, number: int) -> None:
        """SIGTERM; the stop is bounded, too."""
        worker = self.processes[number]
        # Before it can take signals it has not received anything either.
        worker.until(lambda: worker.health()[0] == 200, 30, "answered on /health")
        in_flight = 0
        with suppress(ChildError):  # it may lack the memory to answer
            in_flight = int(worker.metrics().value("worker_in_flight"))
        began = time.monotonic()
        worker.signal(signal.SIGTERM)
        code = None
        with suppress(ChildError):
            code = worker.wait(self.recorder.longest_stop)
        self.recorder.stopped(worker, time.monotonic() - began, code, in_flight)

    def _probe(self, number: int) -> bool:
        """Whether it answers; it is started again when its health is bad."""
        worker = self.processes[number]
        status, said = worker.health()
        # 0: it has no descriptor to answer with, or has not started yet.
        self.bad_health[number] = self.bad_health[number] + 1 if status not in (0, 200) else 0
        if self.bad_health[number] == BAD_HEALTH:
            worker.kill()
            self._died(number, f"/health of {worker.name} was {status}: {said}")
        return status != 0

    def _died(self, number: int, why: str) -> None:
        self.recorder.died(why)
        self.bad_health[number] = 0
        self._start(number)
