"""An in-memory SQS queue with its own clock, and the messages that tests send to it.

FakeQueue passes the same contract tests as SqsQueue (tests/contract/test_queue.py). Where AWS
promises little it does the worst that AWS may do: an old receipt is accepted, its delete deletes
nothing, and its visibility change affects the message's present holder.
"""

import itertools
import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from reservation_worker.errors import SqsError
from reservation_worker.observability.metrics import Metrics
from reservation_worker.pipeline.delivery import Delivery, open_delivery
from reservation_worker.pipeline.leases import Lease
from reservation_worker.sqs.batches import BATCH, BatchFailure, fit
from reservation_worker.sqs.facts import QueueFacts
from reservation_worker.sqs.queue import Depths, Message

PATIENCE = 30.0
"""How long a test waits for an event before it fails, in seconds."""


class FakeClock:
    """Monotonic seconds that pass only by `advance`."""

    def __init__(self, now: float = 1_000.0) -> None:
        self._now = now
        self.listeners: list[Callable[[], None]] = []

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds
        for listener in self.listeners:
            listener()


def eventually(condition: Callable[[], object], timeout: float = PATIENCE) -> None:
    """Return as soon as `condition` is true; fail if it never becomes true."""
    until = time.monotonic() + timeout
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < until, "the awaited event did not happen"
        pause.wait(0.002)


def opened(message: Message, at: float, lease: Callable[[str, float], Lease]) -> Delivery:
    """The delivery of a message that was received `at`, with a lease from then on."""
    return open_delivery(message, at, lease(message.receipt, at))


def event_body(
    event_type: str = "reservation.expired", reservation_id: str = "rsv_1", /, **detail: Any
) -> str:
    """The body of a complete event in the canonical form."""
    facts = {"reservation_id": reservation_id, "event_id": "evt_1", "qty": 1, "seat_ids": ["A1"]}
    if event_type.startswith("payment"):
        facts["payment_intent_id"] = "pay_1"
    return json.dumps({"id": "evt", "type": event_type, "detail": facts | detail})


def new_metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def sample(metrics: Metrics, name: str, **labels: str) -> float:
    """The value of one time series; 0 if it does not exist."""
    return metrics.registry.get_sample_value(name, labels) or 0.0


@dataclass(frozen=True)
class DeadLetter:
    """A message sent to the dead-letter queue."""

    body: str
    attributes: Mapping[str, Any]
    trace: str | None


@dataclass
class Hold:
    """A call that blocks in the middle until it is released."""

    entered: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def wait_entered(self) -> None:
        assert self.entered.wait(PATIENCE), "the call was never made"

    def release(self) -> None:
        self.released.set()


@dataclass
class _Stored:
    message_id: str
    body: str
    attributes: Mapping[str, Mapping[str, Any]]
    trace: str | None
    sent_at: float
    visible_at: float
    receive_count: int = 0
    receipt: str = ""
    first_received_at: float | None = None


# Gets the call's receipts, returns the entries that fail; may raise or block.
Step = Callable[[Sequence[str]], dict[int, BatchFailure]]


class FakeQueue:
    """pipeline.sqs.Queue in memory; the methods of Queue may be called by any thread."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        visibility: int = 30,
        max_receive_count: int | None = None,
        has_dlq: bool = True,
    ) -> None:
        self.dlq: list[DeadLetter] = []
        self.dlq_max_bytes = 1024 * 1024
        self.clock = clock
        self._visibility = visibility
        self._max_receive_count = max_receive_count
        self._has_dlq = has_dlq
        self._polling = True
        self._holds: list[Hold] = []
        self._changed = threading.Condition()
        self._stored: dict[str, _Stored] = {}
        self._owner_of: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._calls: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self._script: defaultdict[str, deque[Step]] = defaultdict(deque)
        if isinstance(clock, FakeClock):
            clock.listeners.append(self._wake)

    # The tests' side.

    def send(
        self,
        body: str | None = None,
        attributes: Mapping[str, Mapping[str, Any]] | None = None,
        trace: str | None = None,
    ) -> str:
        """Put a message in, by default an event of a new reservation; returns its id."""
        with self._changed:
            number = next(self._numbers)
            message_id = f"m{number}"
            self._stored[message_id] = _Stored(
                message_id,
                event_body("reservation.expired", f"rsv_{number}") if body is None else body,
                attributes or {},
                trace,
                self.clock(),
                self.clock(),
            )
            self._changed.notify_all()
            return message_id

    def left(self) -> list[str]:
        """The ids of the messages that are not deleted."""
        with self._changed:
            return list(self._stored)

    def hidden_for(self, message_id: str) -> float:
        """Seconds until a message is visible again; 0 if it is."""
        with self._changed:
            return max(0.0, self._stored[message_id].visible_at - self.clock())

    def calls(self, method: str) -> list[tuple[Any, ...]]:
        """The arguments of each call of `method` so far; receipts are `<message id>#<receive>`."""
        with self._changed:
            return list(self._calls[method])

    def forget_calls(self) -> None:
        """Later answers of `calls` begin here."""
        with self._changed:
            self._calls.clear()

    def script(self, method: str, *steps: Step) -> None:
        """Run `steps`, one each, before the next calls of `method`."""
        self._script[method].extend(steps)

    def fail(self, method: str, times: int = 1, code: str = "ServiceUnavailable") -> None:
        """The next calls raise SqsError."""

        def step(receipts: Sequence[str]) -> dict[int, BatchFailure]:
            raise SqsError(code, "scripted")

        self.script(method, *[step] * times)

    def fail_entries(
        self,
        method: str,
        times: int = 1,
        *,
        sender_fault: bool = False,
        code: str = "InternalError",
        positions: Collection[int] | None = None,
    ) -> None:
        """The next calls succeed, but with entries in `Failed`: all, or those named."""

        def step(receipts: Sequence[str]) -> dict[int, BatchFailure]:
            failing = range(len(receipts)) if positions is None else positions
            return {position: BatchFailure(code, sender_fault) for position in failing}

        self.script(method, *[step] * times)

    def during(self, method: str, action: Callable[[], object]) -> None:
        """Run `action` while the next call is under way."""

        def step(receipts: Sequence[str]) -> dict[int, BatchFailure]:
            action()
            return {}

        self.script(method, step)

    def hold(self, method: str) -> Hold:
        """The next call blocks until released."""
        hold = Hold()
        self._holds.append(hold)

        def stand_still() -> None:
            hold.entered.set()
            assert hold.released.wait(PATIENCE), "the test never released the call"

        self.during(method, stand_still)
        return hold

    def end_polls(self) -> None:
        """Long polls end at once, this one and all later ones."""
        with self._changed:
            self._polling = False
            self._changed.notify_all()

    def release_all(self) -> None:
        """Release every blocked call, even those that a failed test has left behind."""
        for hold in self._holds:
            hold.release()

    # The worker's side.

    def describe(self) -> QueueFacts:
        problem = "" if self._has_dlq else "there is no dead-letter queue"
        return QueueFacts(self._visibility, self._max_receive_count, 345_600, dlq_problem=problem)

    def receive(self, limit: int, wait: int) -> list[Message]:
        self._begin("receive", (), limit, wait)
        if not (1 <= limit <= BATCH and 0 <= wait <= 20):
            raise SqsError("InvalidParameterValue", f"limit {limit}, wait {wait}")
        until = self.clock() + wait
        with self._changed:
            while True:
                found = self._take(limit)
                now = self.clock()
                if found or now >= until or not self._polling:
                    return found
                hidden = (one.visible_at for one in self._stored.values())
                self._changed.wait(min([until, *hidden]) - now)

    def delete(self, receipts: Sequence[str]) -> dict[int, BatchFailure]:
        failures = self._begin("delete", receipts, tuple(receipts))
        with self._changed:
            for _, receipt in self._entries(receipts, failures):
                stored = self._stored.get(self._owner_of[receipt])
                if stored is not None and stored.receipt == receipt:
                    del self._stored[stored.message_id]
        return failures

    def change_visibility(self, receipts: Sequence[str], seconds: int) -> dict[int, BatchFailure]:
        failures = self._begin("change_visibility", receipts, tuple(receipts), seconds)
        with self._changed:
            for position, receipt in self._entries(receipts, failures):
                stored = self._stored.get(self._owner_of[receipt])
                if stored is None or not 0 <= seconds <= 43_200:
                    failures[position] = BatchFailure("InvalidParameterValue", sender_fault=True)
                else:
                    stored.visible_at = self.clock() + seconds
            self._changed.notify_all()
        return failures

    def dead_letter(self, body: str, attributes: Mapping[str, Any], trace: str | None) -> None:
        attributes = fit(body, attributes, self.dlq_max_bytes)
        self._begin("dead_letter", (), body, attributes, trace)
        if not self._has_dlq:
            raise SqsError("NoDeadLetterQueue", "there is no dead-letter queue")
        values = itertools.chain.from_iterable(
            (name, one["DataType"], one.get("StringValue", ""), one.get("BinaryValue", b""))
            for name, one in attributes.items()
        )
        size = sum(len(part.encode() if isinstance(part, str) else part) for part in values)
        if not body or len(attributes) > 10 or len(body.encode()) + size > self.dlq_max_bytes:
            raise SqsError("InvalidParameterValue", "SQS would refuse this message")
        with self._changed:
            self.dlq.append(DeadLetter(body, dict(attributes), trace))

    def depths(self) -> Depths:
        self._begin("depths", ())
        with self._changed:
            hidden = sum(one.visible_at > self.clock() for one in self._stored.values())
            return Depths(len(self._stored) - hidden, hidden, 0, len(self.dlq))

    def _begin(self, method: str, receipts: Sequence[str], *args: Any) -> dict[int, BatchFailure]:
        with self._changed:
            self._calls[method].append(args)
            steps = self._script[method]
            step = steps.popleft() if steps else None
        failures = step(receipts) if step else {}
        if method in ("delete", "change_visibility"):
            if not receipts:
                raise SqsError("EmptyBatchRequest", "a batch has at least one entry")
            if len(receipts) > BATCH:
                raise SqsError("TooManyEntriesInBatchRequest", "a batch has at most ten entries")
        return failures

    def _entries(
        self, receipts: Sequence[str], failures: dict[int, BatchFailure]
    ) -> list[tuple[int, str]]:
        """The entries that are to be carried out; adds unknown receipts to the failures."""
        entries = []
        for position, receipt in enumerate(receipts):
            if receipt not in self._owner_of:
                failures[position] = BatchFailure("ReceiptHandleIsInvalid", sender_fault=True)
            elif position not in failures:
                entries.append((position, receipt))
        return entries

    def _take(self, limit: int) -> list[Message]:
        found: list[Message] = []
        now = self.clock()
        for stored in tuple(self._stored.values()):
            if len(found) == limit or stored.visible_at > now:
                continue
            if self._max_receive_count and stored.receive_count >= self._max_receive_count:
                del self._stored[stored.message_id]
                self.dlq.append(DeadLetter(stored.body, stored.attributes, stored.trace))
                continue
            stored.receive_count += 1
            if stored.first_received_at is None:
                stored.first_received_at = now
            stored.visible_at = now + self._visibility
            stored.receipt = f"{stored.message_id}#{stored.receive_count}"
            self._owner_of[stored.receipt] = stored.message_id
            found.append(
                Message(
                    stored.message_id,
                    stored.receipt,
                    stored.body,
                    stored.attributes,
                    stored.receive_count,
                    now - stored.sent_at,
                    stored.trace,
                    now - stored.first_received_at,
                )
            )
        return found

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
