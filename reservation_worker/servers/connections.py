"""One client's connection to the HTTP server: a single answer, a short life, no lines in our log.

The port has no password. By default waitress lets a client keep its connection for ever by sending
a byte now and then, and pile up unread answers in memory; and it logs in an endless loop for a
packet with TCP's urgent flag.
"""

import time
from collections.abc import Iterable
from typing import Any

from waitress.channel import HTTPChannel

from reservation_worker.servers.profiles import LONGEST, is_local

MOST = 200
"""The limit of connections at the same time; beyond it the oldest idle one is closed."""
LIFETIME = 15.0
"""The longest life of a connection, in seconds: longer than the timeout of a probe or scrape."""


class Connection(HTTPChannel):
    """A channel of waitress that answers one request and is closed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # By the monotonic clock, unlike waitress's own timestamp.
        self.opened_at = time.monotonic()
        super().__init__(*args, **kwargs)

    @property
    def idle(self) -> bool:
        """No whole request has come, or its answer is written and only waits to be read."""
        return not self.requests

    def service(self) -> None:
        """Answer the first request as if it asked for the connection to be closed."""
        request: Any = self.requests[0]
        request.headers["CONNECTION"] = "close"
        # A profile takes longer than a probe. (A request that could not be parsed has no path.)
        if getattr(request, "path", "").startswith("/debug/pprof/") and is_local(self.addr[0]):
            self.opened_at += LONGEST
        super().service()

    def send_continue(self) -> None:
        """Never ask for a body: none is needed, and a long one is refused."""
        request: Any = self.request
        request.expect_continue = False

    def handle_expt(self) -> None:
        """Close on urgent data, which nobody would read."""
        self.handle_close()

    def handle_error(self) -> None:
        """Close when the parser fails: that is the client's fault and is not logged."""
        self.handle_close()


def close_surplus(connections: Iterable[Connection]) -> None:
    """Close the expired and the surplus ones. `connections` are in order of age, the oldest first.

    A profile's connection may outlive younger ones.
    """
    living = list(connections)
    surplus = len(living) - MOST
    now = time.monotonic()
    for connection in living:
        expired = now - connection.opened_at > LIFETIME
        if expired or (surplus > 0 and connection.idle):
            connection.handle_close()
            surplus -= 1
