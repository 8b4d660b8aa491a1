"""A queue in memory with SQS's visibility rules, and its counts. Pure."""

import heapq
import json
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

NAME = "reservation-events"
_SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC835
"""Times a number, modulo 2 ** 128: a trace id that a sampler by ratio takes for a random one."""


def body(number: int) -> str:
    """The event `number`, as reservation-api publishes it (docs/contract.md#events)."""
    return json.dumps(
        {
            "id": f"evt_{number}",
            "type": "reservation.expired",
            "source": "reservation-api",
            "detail": {
                "reservation_id": f"rsv_{number}",
                "event_id": "evt_show",
                "qty": 2,
                "seat_ids": [f"A{number}", f"B{number}"],
            },
            "time": "2026-11-24T10:00:00Z",
            "trace_id": f"{(number + 1) * _SPREAD % 2**128:032x}",
            "version": "1.0",
            "region": "ap-northeast-2",
            "account": "137406935518",
        }
    )


@dataclass(slots=True)
class Message:
    """One message. `sent_at`, `handed_at` and `deadline` are monotonic seconds."""

    id: str
    body: str
    sent_at: float
    count: int = 0
    handed_at: float = 0.0
    deadline: float = 0.0

    @property
    def receipt(self) -> str:
        """The handle of the latest delivery."""
        return f"{self.id}#{self.count}"


class Queue:
    """Messages that were never handed out are only numbers: a million of them cost nothing."""

    def __init__(self, clock: Callable[[], float], visibility: float = 60.0) -> None:
        self._clock = clock
        self.visibility = visibility
        self.reset()

    def reset(self, form: Callable[[int], str] = body) -> None:
        """An empty queue; `form` makes the body of message `number`."""
        self._form = form
        self._fresh: deque[tuple[range, float]] = deque()
        self._ready: deque[Message] = deque()
        self._flight: dict[str, Message] = {}
        # Entries of an earlier deadline of a message are left in and passed over.
        self._deadlines: list[tuple[float, str]] = []
        self._next = 0
        self.mark()

    def mark(self) -> None:
        """Reset the counts; the messages stay."""
        self.began = self.last_delete = self._clock()
        self.deleted = self.redelivered = 0
        self.held = array("d")

    def add(self, count: int) -> None:
        """Add this many events."""
        self._fresh.append((range(self._next, self._next + count), self._clock()))
        self._next += count

    def receive(self, limit: int, visibility: float | None = None) -> list[Message]:
        """At most `limit` messages, hidden for `visibility` seconds (None: the queue's timeout)."""
        hidden = self.visibility if visibility is None else visibility
        now = self._clock()
        self._expire(now)
        batch: list[Message] = []
        while len(batch) < limit and (message := self._take()):
            message.count += 1
            message.handed_at, message.deadline = now, now + hidden
            self.redelivered += message.count > 1
            self._flight[message.id] = message
            heapq.heappush(self._deadlines, (message.deadline, message.id))
            batch.append(message)
        return batch

    def _take(self) -> Message | None:
        if self._ready:
            return self._ready.popleft()
        while self._fresh:
            numbers, sent_at = self._fresh[0]
            if numbers:
                self._fresh[0] = (numbers[1:], sent_at)
                return Message(f"msg-{numbers[0]}", self._form(numbers[0]), sent_at)
            self._fresh.popleft()
        return None

    def delete(self, receipt: str) -> None:
        """As in SQS, an old receipt and one of a deleted message are no error."""
        message = self._held_by(receipt)
        if message is None:
            return
        del self._flight[message.id]
        self.last_delete = self._clock()
        self.deleted += 1
        self.held.append(self.last_delete - message.handed_at)

    def change_visibility(self, receipt: str, seconds: float) -> bool:
        """Make visible again in `seconds`; false if the receipt is no longer valid."""
        message = self._held_by(receipt)
        if message is None:
            return False
        message.deadline = self._clock() + seconds
        heapq.heappush(self._deadlines, (message.deadline, message.id))
        return True

    def _held_by(self, receipt: str) -> Message | None:
        self._expire(self._clock())
        message = self._flight.get(receipt.partition("#")[0])
        return message if message is not None and message.receipt == receipt else None

    def _expire(self, now: float) -> None:
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, name = heapq.heappop(self._deadlines)
            message = self._flight.get(name)
            if message is not None and message.deadline == deadline:
                self._ready.append(self._flight.pop(name))

    @property
    def in_flight(self) -> int:
        """How many are handed out now."""
        self._expire(self._clock())
        return len(self._flight)

    @property
    def visible(self) -> int:
        """How many could be received now."""
        self._expire(self._clock())
        return len(self._ready) + sum(len(numbers) for numbers, _ in self._fresh)
