"""The proxy's record of deliveries: the worker that got each one, and the use of its receipt.

Every delivery gets a new trace id, which the worker hands on with each call for it. So a
neighbour's list of calls can be joined with the deliveries and their workers.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# A message is held back for at most so many seconds.
_HOLD = 1.0


class Use(NamedTuple):
    """A worker's request with a receipt; `answer` is "" when none reached it."""

    what: str
    seconds: int
    asked_at: float
    answered_at: float
    answer: str
    done: bool


@dataclass(slots=True)
class Delivery:
    """A message handed to one worker. Times are Unix seconds; `sent_at` 0: never sent."""

    number: int
    worker: str
    message_id: str
    receipt: str
    trace_id: str
    receive_count: int
    asked_at: float
    copy: bool = False
    sent_at: float = 0.0
    # The worker's requests with its receipt.
    uses: list[Use] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Waiting:
    """A message for a later receive: held back, or a copy."""

    message: dict[str, Any]
    queue_url: str
    copy: bool = False
    deleted: bool = False
    since: float = field(default_factory=time.monotonic)

    @property
    def id(self) -> str:
        """The MessageId."""
        return str(self.message["MessageId"])


class Deliveries:
    """All deliveries; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: list[Delivery] = []
        self._by_receipt: dict[str, list[Delivery]] = {}
        # The latest receipt of each message, and SQS's receipt for each one that we made.
        self._latest: dict[str, str] = {}
        self._upstream: dict[str, str] = {}
        self._raw: dict[str, dict[str, Any]] = {}
        self._waiting: deque[Waiting] = deque()
        self._over: set[str] = set()

    def came(self, message: dict[str, Any]) -> None:
        """Note a message that SQS has handed out."""
        with self._lock:
            receipt = message["ReceiptHandle"]
            self._latest[message["MessageId"]] = receipt
            self._raw[receipt] = message
            self._over.discard(receipt)

    def wait(self, waiting: Waiting) -> None:
        """Hand it out later."""
        with self._lock:
            self._waiting.append(waiting)

    def take(self, limit: int, leave: bool) -> list[Waiting]:
        """The messages for this receive; with `leave`, new ones may stay."""
        taken: list[Waiting] = []
        with self._lock:
            now = time.monotonic()
            for waiting in tuple(self._waiting):
                if len(taken) == limit:
                    break
                if leave and now - waiting.since < _HOLD:
                    continue
                self._waiting.remove(waiting)
                # A copy comes only while its message is in flight.
                if waiting.deleted or waiting.message["ReceiptHandle"] not in self._over:
                    taken.append(waiting)
        return taken

    def hand_out(
        self, message: dict[str, Any], worker: str, asked_at: float, copy: bool, own: bool
    ) -> tuple[Delivery, dict[str, Any]]:
        """Record a delivery; returns it with the message as the worker gets it.

        `own` gives a copy another receipt, which works like the first one's.
        """
        with self._lock:
            number = len(self._all) + 1
            receipt = message["ReceiptHandle"]
            if own:
                receipt = f"{receipt}~{number}"
                self._upstream[receipt] = message["ReceiptHandle"]
            count = message.get("Attributes", {}).get("ApproximateReceiveCount", 0)
            trace_id = f"{0xFA << 120 | number:032x}"
            delivery = Delivery(
                number, worker, message["MessageId"], receipt, trace_id, int(count), asked_at, copy
            )
            self._all.append(delivery)
            self._by_receipt.setdefault(receipt, []).append(delivery)
        attributes = dict(message.get("MessageAttributes", {}))
        attributes["traceparent"] = {
            "DataType": "String",
            "StringValue": f"00-{trace_id}-{number:016x}-01",
        }
        shown = {**message, "ReceiptHandle": receipt, "MessageAttributes": attributes}
        shown.pop("MD5OfMessageAttributes", None)
        return delivery, shown

    def sent(self, deliveries: Sequence[Delivery]) -> None:
        """Note that the answer is on its way to the worker."""
        now = time.time()
        with self._lock:
            for delivery in deliveries:
                delivery.sent_at = now

    def upstream(self, receipt: str) -> str:
        """SQS's own receipt for one that we gave out."""
        return self._upstream.get(receipt, receipt)

    def newer(self, receipt: str) -> str | None:
        """The receipt that has replaced this one, if any."""
        with self._lock:
            mine = self._upstream.get(receipt, receipt)
            known = self._raw.get(mine)
            latest = self._latest.get(known["MessageId"]) if known else None
            return latest if latest != mine else None

    def message(self, receipt: str) -> dict[str, Any] | None:
        """The message that SQS handed out with this receipt."""
        return self._raw.get(self.upstream(receipt))

    def used(self, worker: str, receipt: str, use: Use) -> None:
        """Note a worker's delete or change of visibility."""
        with self._lock:
            for delivery in self._by_receipt.get(receipt, []):
                # Another worker's copy may have the same receipt.
                if delivery.worker == worker:
                    delivery.uses.append(use)

    def over(self, receipt: str, deleted: bool) -> None:
        """It was deleted or given back: no more copies of this delivery."""
        with self._lock:
            mine = self._upstream.get(receipt, receipt)
            self._over.add(mine)
            if deleted:
                self._raw.pop(mine, None)

    def rows(self) -> list[dict[str, Any]]:
        """All deliveries as plain JSON values, in order."""
        with self._lock:
            return [delivery.as_dict() for delivery in self._all]
