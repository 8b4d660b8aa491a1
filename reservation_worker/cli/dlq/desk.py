"""Reading a DLQ means receiving: its messages are hidden while they are looked at, no longer."""

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Self

from botocore.exceptions import ClientError

from reservation_worker.cli import terminal
from reservation_worker.cli.dlq.holds import Holds
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.dlq.queues import Queues
from reservation_worker.cli.dlq.text import plural
from reservation_worker.cli.interrupt import Interrupt, interrupt_noted
from reservation_worker.config.redaction import hide_userinfo
from reservation_worker.errors import OperationError

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""A terminal that is closed, or a pod that is ended, is a ctrl-C, too."""
_WAIT = 1
"""A long poll asks all of SQS's servers, so an empty answer mostly means that nothing is there."""
_IDLE = 3
"""So many empty answers in a row end the reading before the depth at the start is reached."""
_MORE = 100
"""SQS's depth is an estimate: so many above it, or a tenth, are read, too."""


class Desk(ExitStack):
    """A DLQ while somebody works on it; ctrl-C and SIGTERM end what is under way, then the verb.

    On leaving, whatever is still there is visible again. `dlq` and `source` are the URLs to show.
    """

    def __init__(self, queues: Queues) -> None:
        super().__init__()
        self.queues = queues
        self.dlq, self.source = hide_userinfo(queues.dlq), hide_userinfo(queues.source)
        self.holds = Holds(queues)
        self.partial: list[str] = []
        self.interrupt: Interrupt

    def __enter__(self) -> Self:
        self.interrupt = self.enter_context(interrupt_noted())
        for number in _SIGNALS:
            # Under nohup a hang-up is no wish to stop.
            if (before := signal.getsignal(number)) != signal.SIG_IGN:
                self.callback(signal.signal, number, before)
                signal.signal(number, self.interrupt.note)
        self.callback(self.holds.close)
        self.holds.start()
        return self

    def check(self) -> None:
        """Raises KeyboardInterrupt after ctrl-C."""
        if self.interrupt.came:
            raise KeyboardInterrupt

    def answer(self, question: str) -> str:
        """What a person answers, "" at the end of the input. Raises KeyboardInterrupt at once."""
        self.check()
        print(question, end=" ", file=sys.stderr, flush=True)
        noted = {
            number: signal.signal(number, signal.default_int_handler)
            for number in _SIGNALS
            if signal.getsignal(number) == self.interrupt.note
        }
        try:
            return input().strip()
        except EOFError:
            return ""
        finally:
            for number, handler in noted.items():
                signal.signal(number, handler)

    def letters(self) -> Iterator[Letter]:
        """Each message once. It ends, however many come in meanwhile; then `partial` says what
        the view lacks. Raises OperationError and KeyboardInterrupt.
        """
        expected, others = self.queues.counts()
        most = expected + max(_MORE, expected // 10)
        seen: set[str] = set()
        delivered = idle = 0
        with terminal.progress("read") as bar:
            task = bar.add_task("reading", total=expected)
            while len(seen) < most and delivered < 2 * most and idle < _IDLE:
                self.check()
                raws = self._receive()
                if raws is None:
                    break
                delivered += len(raws)
                idle = 0 if raws else idle + 1
                if idle and len(seen) >= expected:
                    break
                for raw in raws:
                    # One whose hold has ended comes again; its hold is new, the message is not.
                    if raw["MessageId"] not in seen:
                        seen.add(raw["MessageId"])
                        yield Letter.of(raw)
                bar.update(task, completed=len(seen))
        self.check()
        self._judge(len(seen), expected, others, bool(idle))

    def _receive(self) -> list[Any] | None:
        try:
            return self.holds.receive(_WAIT)
        except OperationError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError) and cause.response["Error"]["Code"].endswith(
                "OverLimit"
            ):
                return None  # 120,000 are hidden: SQS hands out no more
            raise

    def _judge(self, seen: int, expected: int, others: int, drained: bool) -> None:
        if not drained:
            visible, _ = self.queues.counts()
            if visible:
                self.partial.append(f"about {plural(visible, 'message')} more: read again")
        if others:
            self.partial.append(
                f"about {plural(others, 'message')} hidden by another reader, or delayed"
            )
        elif drained and seen < expected:
            self.partial.append(f"SQS estimated {expected} messages, but handed out only {seen}")
