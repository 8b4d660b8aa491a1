"""A DLQ is read by receiving from it: its messages are hidden only while they are looked at."""

import json
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Any, Self

from reservation_worker.cli import operator_aws, terminal
from reservation_worker.cli.dlq.holds import Holds
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.dlq.queues import PARALLEL, Look, Queues
from reservation_worker.cli.interrupt import Interrupt, interrupt_noted
from reservation_worker.cli.text import plural
from reservation_worker.config.redaction import hide_userinfo
from reservation_worker.errors import OperationError
from reservation_worker.sqs.batches import BATCH

_WAIT = 1
"""A long poll asks all of SQS's servers, so an empty answer mostly means that nothing is there."""
_IDLE = 3
"""So many empty answers in a row end the reading before the depth at the start is reached."""
_MORE = 100
"""SQS's depth is an estimate: so many above it, or a tenth, are read, too."""
_NEVER = 2**31
"""A receive count that no message reaches."""


class Desk(ExitStack):
    """A DLQ while somebody works on it; ctrl-C and SIGTERM end the call under way, then the verb.

    On leaving, the messages that are still there become visible again. `dlq` and `source` are the
    URLs to show. `partial` has a sentence on each thing that a reading lacks, `warnings` on
    anything else that a person should know. A DLQ with a RedrivePolicy is read only with
    `use_up_receives`.
    """

    def __init__(self, queues: Queues, *, use_up_receives: bool = False) -> None:
        super().__init__()
        self.queues = queues
        self.dlq, self.source = hide_userinfo(queues.dlq), hide_userinfo(queues.source or "")
        self.holds = Holds(queues)
        self.partial: list[str] = []
        self.warnings: list[str] = []
        self._reported: set[str] = set()
        self.interrupt: Interrupt
        self.use_up_receives = use_up_receives
        self._pool: ThreadPoolExecutor

    def __enter__(self) -> Self:
        # A terminal that is closed, or a pod that is ended, counts as ctrl-C.
        self.interrupt = self.enter_context(interrupt_noted(signal.SIGTERM, signal.SIGHUP))
        self.callback(self._give_back)
        # It ends first: a message that is received after the others were given back would stay
        # hidden.
        self._pool = self.enter_context(ThreadPoolExecutor(PARALLEL, "receive"))
        self.holds.start()
        return self

    def _give_back(self) -> None:
        held = len(self.holds.ids())
        missed = self.holds.close("interrupted, making" if self.interrupt.came else "making")
        if self.interrupt.came and held and not missed:
            print(f"interrupted: all visible again ({plural(held, 'message')})", file=sys.stderr)

    def check(self) -> None:
        """Raises KeyboardInterrupt after ctrl-C."""
        if self.interrupt.came:
            raise KeyboardInterrupt

    def report(self) -> None:
        """Print what `partial` and `warnings` have got since the last time."""
        lines = [f"the view is partial: {text}" for text in self.partial]
        lines += [f"WARNING: {text}" for text in self.warnings]
        for line in lines:
            if line not in self._reported:
                self._reported.add(line)
                print(line, file=sys.stderr)

    def print_json(self, **figures: Any) -> None:
        """Print what a sub-verb did as one object."""
        more = {"partial": self.partial, "interrupted": self.interrupt.came}
        print(json.dumps({"dlq": self.dlq, **figures, **more}, indent=2))

    def answer(self, question: str) -> str:
        """A person's answer, "" at the end of the input. Raises KeyboardInterrupt at once."""
        self.check()
        self.report()
        print(question, end=" ", file=sys.stderr, flush=True)
        try:
            with self.interrupt.raised():
                return input().strip()
        except (EOFError, RuntimeError):  # RuntimeError: stdin or stdout is closed
            return ""

    def confirm(self, question: str, otherwise: str) -> None:
        """Raises OperationError, which ends with `otherwise`, unless a person answers y or yes."""
        if self.answer(f"{question} [y/N]").lower() not in ("y", "yes"):
            raise OperationError(f"not confirmed: {otherwise}")

    def letters(self) -> Iterator[Letter]:
        """Each message once, read by several calls at a time.

        It ends, however many messages arrive meanwhile; `partial` then lists what the view lacks.
        Raises OperationError and KeyboardInterrupt.
        """
        look = self._look()
        expected = look.visible
        most = expected + max(_MORE, expected // 10)
        seen: set[str] = set()
        running: set[Future[list[Any] | None]] = set()
        delivered = idle = last = 0
        ended = False
        with terminal.progress("reading", "read", expected) as bar:
            try:
                while True:
                    self.check()
                    # As many calls as the rest needs, and one to find the end.
                    wanted = 0 if ended else max(1, min(PARALLEL, (expected - len(seen)) // BATCH))
                    while len(running) < wanted:
                        running.add(self._pool.submit(self._receive))
                    if not running:
                        break
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for raws in (future.result() for future in done):
                        if raws is None:
                            ended = True
                            continue
                        delivered += len(raws)
                        idle = 0 if raws else idle + 1
                        for raw in raws:
                            # A message whose hold has ended comes again, with a new hold.
                            if raw["MessageId"] not in seen:
                                seen.add(raw["MessageId"])
                                letter = Letter.of(raw)
                                last += letter.receive_count >= (look.max_receives or _NEVER)
                                yield letter
                    bar(completed=len(seen))
                    ended |= (
                        len(seen) >= most
                        or delivered >= 2 * most
                        or idle >= _IDLE
                        or (bool(idle) and len(seen) >= expected)
                    )
            finally:
                wait(running)
        self.check()
        self._note_what_lacks(len(seen), look, drained=bool(idle))
        if last:
            self.warnings.append(
                f"{plural(last, 'message')} received {plural(look.max_receives or 0, 'time')}: the"
                f" next reading moves them on to {look.next_queue}"
            )

    def _look(self) -> Look:
        look = self.queues.look()
        if look.max_receives is not None and not self.use_up_receives:
            raise OperationError(
                f"{self.dlq} has a RedrivePolicy: SQS moves a message on to {look.next_queue} after"
                f" {plural(look.max_receives, 'receive')}, and each reading is one. Nothing was"
                " read. Remove that RedrivePolicy, or read all the same with --use-up-receives"
            )
        return look

    def _receive(self) -> list[Any] | None:
        """At most ten messages; None if SQS hands out no more. Raises OperationError."""
        try:
            return self.holds.receive(_WAIT)
        except OperationError as error:
            if operator_aws.code_of(error.__cause__) == "OverLimit":
                return None  # 120,000 messages are hidden: SQS hands out no more
            raise

    def _note_what_lacks(self, seen: int, look: Look, *, drained: bool) -> None:
        if not drained:
            visible = self.queues.look().visible
            if visible:
                self.partial.append(f"about {plural(visible, 'message')} more: read again")
        if look.hidden:
            self.partial.append(
                f"about {plural(look.hidden, 'message')} hidden by another reader, or delayed"
            )
        elif drained and seen < look.visible:
            self.partial.append(
                f"SQS estimated {look.visible} messages, but handed out only {seen}"
            )
