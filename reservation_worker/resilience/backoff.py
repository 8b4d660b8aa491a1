"""How long a message waits before its next try, and how many tries it gets."""

import math
from collections.abc import Callable
from dataclasses import dataclass

MAX_RETRY_AFTER = 900.0
"""The longest wait that Retry-After may ask for, in seconds (docs/contract.md#reservation-api)."""

MAX_VISIBILITY = 43_200
"""SQS refuses a visibility timeout above twelve hours, in seconds."""

LONGEST_DELAY = 300.0
"""The longest delay of our own for a message that has used up its tries, in seconds."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The rules of docs/contract.md#retry.

    `max_receive_count` returns the queue's maxReceiveCount, None without a RedrivePolicy.
    """

    base_ms: int
    max_retries: int
    max_receive_count: Callable[[], int | None] = lambda: None

    def delay(self, attempt: int, at_least: float = 0.0, *, beyond_tries: bool = False) -> int:
        """Whole seconds before try number `attempt` + 1.

        base * 2^(n-1), rounded up and capped at the step of n = `max_retries`. For a message that
        is given back `beyond_tries` it goes on doubling to LONGEST_DELAY. `at_least` is the
        neighbour's Retry-After in seconds; it wins if it is longer, up to MAX_RETRY_AFTER.
        """
        last_step = max(self.max_retries, 1)
        capped: float = self.base_ms * 2 ** (min(max(attempt, 1), last_step) - 1) / 1000
        own = capped
        if beyond_tries:
            # A double of 2^32 s and more is beyond any cap.
            doubled = self.base_ms * 2 ** (min(attempt, 32) - 1) / 1000
            own = max(capped, min(doubled, LONGEST_DELAY))
        return min(math.ceil(max(own, min(at_least, MAX_RETRY_AFTER))), MAX_VISIBILITY)

    def tries(self) -> int:
        """How often a message is tried before it may be dead-lettered as exhausted."""
        most = self.max_retries + 1
        return min(most, self.max_receive_count() or most)

    def is_last_receive(self, receive_count: int) -> bool:
        """Whether SQS would move the message, without a reason, instead of delivering it again."""
        most = self.max_receive_count()
        return most is not None and receive_count >= most
