"""Runs one fault scenario on a whole system of processes; recorder.py records the result."""

import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from select import select

from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.processes.child import ChildError, poll_until
from reservation_worker.simulator.processes.worker import WorkerProcess
from reservation_worker.simulator.story.scenario import build
from tests.faults.harness.case import Case, Outcome, Step
from tests.faults.harness.fence import Frozen
from tests.faults.harness.forwarder import Forwarder
from tests.faults.harness.machine import Machine
from tests.faults.harness.recorder import Accounts, Recorder
from tests.sqs_proxy.process import SqsProxyProcess
from tests.world import World

ENV = {
    "CALL_TIMEOUT": "1",
    "SQS_WAIT_TIME": "1",
    "MAX_RETRIES": "50",
    "BACKOFF_BASE_MS": "100",
    "SHUTDOWN_TIMEOUT": "12",
}
KEY_TTL = {Character.CONTRACT: {"INVENTORY_KEY_TTL": "0"}, Character.TODAY: {}}
"""The workers' setting for inventory's memory of keys; none: the default."""
CALLS_AN_EVENT = 1.8
# A step happens after so many seconds even without its progress, for example if all calls hang.
STEP_PATIENCE = 15.0
# As the kubelet does: so many bad answers of /health in a row.
BAD_HEALTH = 3


class Run:
    """One run; the result of `go` is everything that came of it."""

    def __init__(
        self, name: str, case: Case, events: int, seed: int, command: Sequence[str] = ()
    ) -> None:
        self.name, self.case, self.seed = name, case, seed
        self.events = case.events or events
        module = [sys.executable, "-m", case.module] if case.module else []
        self.command = list(command) or module
        self.story = build(self.events, seed, case.general_admission)
        self.stack = World(
            *case.latency_ms,
            visibility=case.visibility,
            max_receive=case.max_receive,
            character=case.character,
            key_ttl=case.key_ttl,
        )
        self.feeder: threading.Thread | None = None
        self.workers: list[WorkerProcess] = []
        self.machines: list[Machine] = []
        self.names: list[str] = []
        self.starts = 0
        self.frozen_at: dict[int, float] = {}
        self.todo: list[Step] = list(case.steps)
        self.last_step = 0.0
        self.bad_health: Counter[int] = Counter()
        self.env = ENV | KEY_TTL[case.character] | dict(case.env)
        self.recorder = Recorder(case, self.env)

    def go(self, limit: float) -> Outcome:
        """Run it; messages that are not settled after `limit` seconds count as lost."""
        with ExitStack() as undo:
            stack = undo.enter_context(self.stack)
            proxy = SqsProxyProcess(stack.sqs.url, self.seed, directory=stack.sqs.directory)
            self.proxy = undo.enter_context(proxy)
            self.decoy = undo.enter_context(socket.create_server(("127.0.0.1", 0)))
            stack.neighbours.seed(self.story.seeds, self.story.pools)
            if any(step.action == "black_hole" for step in self.case.steps):
                forwarder = Forwarder(stack.neighbours.inventory_address)
                self.forwarder = undo.enter_context(forwarder)
                self.env["INVENTORY_GRPC_ADDR"] = self.forwarder.address
            for number in range(self.case.workers):
                worker = stack.worker(self.env, f"worker-{number}")
                self.workers.append(worker)
                self.machines.append(Machine(worker, self.case.machine, undo))
                self.names.append("")
                self._start(number)
            for worker in self.workers:
                worker.ready()
            self._inject()
            self.began = self.last_step = began = time.monotonic()
            self._steps()  # those that come before the first message
            time.sleep(self.case.quiet)
            if self.case.backlog:
                enough = threading.Event()
                self.feeder = threading.Thread(target=self._feed, args=(enough,), daemon=True)
                self.feeder.start()
                undo.callback(self.feeder.join)
                undo.callback(enough.set)
            else:
                stack.publish(self.story.phase(0))
            settled = self._settle(limit)
            settled_in = time.monotonic() - began
            if settled:
                stack.publish(self.story.phase(1))
                self._settle(max(20.0, limit - settled_in))
            seconds = time.monotonic() - began
            accounts = self._take_stock(seconds)
        return self.recorder.outcome(self.name, self.events, self.seed, accounts)

    def _start(self, number: int) -> None:
        worker = self.workers[number]
        self.starts += 1
        # To the proxy each start is another worker, because it remembers nothing.
        self.names[number] = f"{worker.name}.{self.starts}"
        worker.env["AWS_ENDPOINT_URL"] = self.proxy.url_for(self.names[number])
        if self.command:
            worker.command = self.command
        worker.start()

    def _inject(self) -> None:
        self.proxy.set_faults(self.case.sqs, max_visibility=self.case.visibility)
        port = self.decoy.getsockname()[1]
        for one in self.case.answers:
            answer = dict(one.answer)
            if "headers" in answer:
                answer["headers"] = {
                    name: value.replace("DECOY", f"127.0.0.1:{port}")
                    for name, value in answer["headers"].items()
                }
            self.stack.neighbours.answer(
                one.target, answer, 1_000_000, after=one.after, rate=one.rate
            )

    def _settle(self, limit: float) -> bool:
        calm = 0

        def done() -> bool:
            nonlocal calm
            depth = self.stack.depth()
            self._sample()
            self._steps()
            fed = self.feeder is None or not self.feeder.is_alive()
            calm = calm + 1 if fed and not self.todo and depth == 0 else 0
            return calm == 2

        return poll_until(done, limit, 0.5 if self.case.backlog else 0.15)

    def _feed(self, enough: threading.Event) -> None:
        """Keep the backlog in the queue, independently of the run's thread."""
        feed = self.story.phase(0)
        while feed and not enough.wait(0.1):
            count = max(0, self.case.backlog - self.stack.depth())
            self.stack.publish(feed[:count])
            del feed[:count]

    def _steps(self) -> None:
        while self.todo:
            step, now = self.todo[0], time.monotonic()
            waited = now - self.last_step
            due = waited >= step.pause and (
                waited >= STEP_PATIENCE or self._progress() >= step.progress
            )
            if not due:
                return
            self.todo.pop(0)
            self._do(step)
            self.last_step = time.monotonic()
            self.recorder.stepped(step, self.last_step - self.began)

    def _progress(self) -> float:
        calls = sum(int(one["calls"]) for one in self.stack.neighbours.health().values())
        return calls / (self.events * CALLS_AN_EVENT)

    def _do(self, step: Step) -> None:
        if isinstance(step.target, int):
            self._do_to_worker(step, step.target)
        elif step.target == "queue":
            if step.action == "move_dlq":
                self.stack.move_dlq()
            else:
                self.stack.set_visibility(int(step.value))
        elif step.action == "black_hole":
            self.recorder.injected["connections black-holed"] += self.forwarder.black_hole()
        elif step.action == "hang":
            ids = [record.reservation_id for record in self.story.seeds[: step.ids]]
            self.stack.neighbours.hang(step.target, ids, after=step.after)
        else:
            getattr(self.stack.neighbours, step.action)(step.target)

    def _do_to_worker(self, step: Step, number: int) -> None:
        worker = self.workers[number]
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

    def _end(self, number: int) -> None:
        """SIGTERM; the stop is bounded, too."""
        worker = self.workers[number]
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

    def _sample(self) -> None:
        total: Counter[str] = Counter()
        for number, worker in enumerate(self.workers):
            if number in self.frozen_at:
                continue
            if not worker.alive:
                self._died(number, f"{worker.name} ended by itself: {worker.tail()[-500:]}")
            with suppress(ChildError, OSError):  # it has just died: next time, then
                self._probe(number)
                total += self.recorder.look(worker)
        self.recorder.sample(total, time.monotonic() - self.began)

    def _probe(self, number: int) -> None:
        worker = self.workers[number]
        status, said = worker.health()
        # 0: it has no descriptor to answer with, or has not started yet.
        self.bad_health[number] = self.bad_health[number] + 1 if status not in (0, 200) else 0
        if self.bad_health[number] == BAD_HEALTH:
            worker.kill()
            self._died(number, f"/health of {worker.name} was {status}: {said}")

    def _died(self, number: int, why: str) -> None:
        self.recorder.died(why)
        self.bad_health[number] = 0
        self._start(number)

    def _take_stock(self, seconds: float) -> Accounts:
        """End all faults, stop the workers, and collect the accounts."""
        stack, proxy = self.stack, self.proxy
        self.recorder.last_look(self.workers, stack.neighbours.health())
        proxy.set_faults({})
        stack.neighbours.clear()
        for number in range(len(self.workers)):
            self._end(number)
        return Accounts(
            seconds,
            stack.reconcile(self.story),
            [call for rows in stack.neighbours.calls().values() for call in rows],
            proxy.deliveries(),
            proxy.counts(),
            redirected=bool(select([self.decoy], [], [], 0)[0]),
        )
