"""How long a message waits before its next try, and how many tries it gets."""

import math

MAX_RETRY_AFTER = 900.0
"""The longest wait that Retry-After may ask for, in seconds (docs/contract.md#reservation-api)."""

MAX_VISIBILITY = 43_200
"""SQS refuses a visibility timeout above twelve hours, in seconds."""


LONGEST_DELAY = 300.0
"""The longest delay of our own for a message that has used up its tries, in seconds."""


def retry_delay(
    attempt: int,
    base_ms: int,
    max_retries: int,
    at_least: float = 0.0,
    *,
    beyond_tries: bool = False,
) -> int:
    """Whole seconds before try number `attempt` + 1 (docs/contract.md#retry).

    base * 2^(n-1), rounded up and capped at the step of n = `max_retries`; for a message that is
    given back `beyond_tries` it goes on doubling to LONGEST_DELAY. `at_least` (seconds) is what
    the neighbour asked for; it wins where it is longer, up to MAX_RETRY_AFTER.
    """
    last_step = max(max_retries, 1)
    capped: float = base_ms * 2 ** (min(max(attempt, 1), last_step) - 1) / 1000
    own = capped
    if beyond_tries:
        # A double of 2^32 s and more is beyond any cap.
        doubled = base_ms * 2 ** (min(attempt, 32) - 1) / 1000
        own = max(capped, min(doubled, LONGEST_DELAY))
    return min(math.ceil(max(own, min(at_least, MAX_RETRY_AFTER))), MAX_VISIBILITY)


def tries(max_retries: int, max_receive_count: int | None) -> int:
    """How often a message is tried before it is dead-lettered (docs/contract.md#exhaustion).

    Beyond `max_receive_count` SQS moves the message itself, without our attributes.
    """
    return min(max_retries + 1, max_receive_count or max_retries + 1)
