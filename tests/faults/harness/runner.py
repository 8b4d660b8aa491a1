"""Runs one fault scenario on a whole system of processes; recorder.py records the result."""

import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from select import select

from reservation_worker.simulator.neighbours.character import Character
from reservation_worker.simulator.processes.child import poll_until
from reservation_worker.simulator.story.scenario import build
from tests.faults.harness.case import Case, Outcome, Step
from tests.faults.harness.forwarder import Forwarder
from tests.faults.harness.recorder import Accounts, Recorder
from tests.faults.harness.workers import Workers
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
        self.todo: list[Step] = list(case.steps)
        self.last_step = 0.0
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
            self.workers = Workers(self.command, self.proxy.url_for, self.recorder)
            for number in range(self.case.workers):
                worker = stack.worker(self.env, f"worker-{number}")
                self.workers.add(worker, self.case.machine, undo)
            self.workers.ready()
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
            self.workers.sample(time.monotonic() - self.began)
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
            self.workers.do(step, step.target)
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

    def _take_stock(self, seconds: float) -> Accounts:
        """End all faults, stop the workers, and collect the accounts."""
        stack, proxy = self.stack, self.proxy
        self.recorder.last_look(self.workers.processes, stack.neighbours.health())
        proxy.set_faults({})
        stack.neighbours.clear()
        self.workers.end()
        return Accounts(
            seconds,
            stack.reconcile(self.story),
            [call for rows in stack.neighbours.calls().values() for call in rows],
            proxy.deliveries(),
            proxy.counts(),
            redirected=bool(select([self.decoy], [], [], 0)[0]),
        )
