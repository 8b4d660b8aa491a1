"""Chooses a loopback port to listen on.

Port 0 would give one of the range for outgoing connections. While a neighbour is down, one of those
could take the port that the neighbour must reopen.
"""

import random
import socket
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"
_LOW, _HIGH = 20_000, 32_000  # Linux hands out 32768 and above by itself
_TRIES = 100


def free_port() -> int:
    """A port that is free now; the caller must cope if it is taken meanwhile."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """So many different free ports. Raises OSError."""
    # A different order in every process.
    dice = random.SystemRandom()
    found: list[int] = []
    with ExitStack() as held:
        for _ in range(_TRIES):
            port = dice.randrange(_LOW, _HIGH)
            try:
                held.enter_context(socket.create_server((LOOPBACK, port)))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"no free port between {_LOW} and {_HIGH}")
