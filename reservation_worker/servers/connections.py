"""One client's connection to the HTTP server: a single answer, a short life, no noise in our log.

Whoever reaches the port needs no password. waitress by itself lets a client that sends a byte now
and then keep its connection for ever, lets another pile up answers in memory that it never reads,
and logs for each packet with TCP's urgent flag, in an endless loop.
"""

import time
from collections.abc import Iterable
from typing import Any

from waitress.channel import HTTPChannel

from reservation_worker.servers.profiles import LONGEST, is_local

MOST = 200
"""So many connections at once; beyond it the oldest that has not asked anything yet goes."""
LIFETIME = 15.0
"""The longest life of a connection in seconds: a probe or a scrape has given up by then."""


class Connection(HTTPChannel):
    """A channel of waitress that answers one request and is closed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # By the monotonic clock, unlike waitress's own time.
        self.opened_at = time.monotonic()
        super().__init__(*args, **kwargs)

    @property
    def idle(self) -> bool:
        """No whole request has come, or its answer is written and only waits to be read."""
        return not self.requests

    def service(self) -> None:
        """Answer the first request as if it had said so itself: then close."""
        request: Any = self.requests[0]
        request.headers["CONNECTION"] = "close"
        # A profile takes longer than a probe. (What could not be parsed has no path.)
        if getattr(request, "path", "").startswith("/debug/pprof/") and is_local(self.addr[0]):
            self.opened_at += LONGEST
        super().service()

    def send_continue(self) -> None:
        """No: a body is not asked for, least of all one that is refused by its length."""
        request: Any = self.request
        request.expect_continue = False

    def handle_expt(self) -> None:
        """Urgent data: it stays until it is read, and nobody will."""
        self.handle_close()

    def handle_error(self) -> None:
        """The parser failed on what the client sent: its fault, and nothing to log."""
        self.handle_close()


def close_surplus(connections: Iterable[Connection]) -> None:
    """Close those that live too long or are too many. `connections` come oldest first.

    A profile may live longer than those that came after it.
    """
    living = list(connections)
    surplus = len(living) - MOST
    now = time.monotonic()
    for connection in living:
        expired = now - connection.opened_at > LIFETIME
        if expired or (surplus > 0 and connection.idle):
            connection.handle_close()
            surplus -= 1
