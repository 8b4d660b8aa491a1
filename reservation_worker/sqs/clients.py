"""boto3 clients that outlive their credentials."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from loguru import logger

from reservation_worker.errors import SqsError
from reservation_worker.sqs.credentials import CredentialProcess, of_credentials, text_of
from reservation_worker.sqs.session import ERRORS, explained

RENEWAL = 15.0
"""New clients are made at most once in so many seconds."""

C = TypeVar("C")
T = TypeVar("T")


@dataclass(eq=False)
class _Made(Generic[C]):
    """The clients of one session, and how many calls use them now."""

    clients: C
    users: int = 0


class RenewedClients(Generic[C]):
    """Clients that get a new session when their credentials are missing, expired or refused.

    A boto3 session looks for credentials once: missing ones stay missing, and static ones that were
    replaced on disk stay expired. `make` makes a session and its clients, `close` closes them.
    Thread-safe.
    """

    def __init__(
        self,
        make: Callable[[], C],
        close: Callable[[C], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._close = close
        self._clock = clock
        self._lock = threading.Lock()
        self._renewing = threading.Lock()
        self._renewed_at = float("-inf")
        self._current: _Made[C] | None = None
        self._problem = SqsError("NoClients", "there are no clients yet")
        self._closed = False

    def open(self) -> None:
        """Make the first clients; the credentials may come later.

        Raises ConfigurationError for AWS_* variables that boto3 can't work with.
        """
        with explained():
            try:
                self._current = _Made(self._make())
            except ERRORS as error:
                if not of_credentials(error):
                    raise
                self._failed(error)

    def call(self, use: Callable[[C], T]) -> T:
        """The result of `use` with the clients, called again with new ones if credentials fail.

        Raises the errors of `use`, and SqsError while no clients can be made.
        """
        made = self._take()
        try:
            return use(made.clients)
        except ERRORS as error:
            if not of_credentials(error) or not self._renew(made):
                raise
        finally:
            self._release(made)
        # Safe to repeat: the request was not sent, or it was refused.
        made = self._take()
        try:
            return use(made.clients)
        finally:
            self._release(made)

    def close(self) -> None:
        """Close the clients, and end a credential_process that is still waited for."""
        with self._lock:
            made, self._current = self._current, None
            self._closed = True
            self._problem = SqsError("Closed", "the clients are closed")
        CredentialProcess.end_all()
        if made is not None:
            self._close(made.clients)

    def _take(self) -> _Made[C]:
        if self._current is None:
            self._renew(None)
        with self._lock:
            if self._current is None:
                raise SqsError(self._problem.code, str(self._problem))
            self._current.users += 1
            return self._current

    def _release(self, made: _Made[C]) -> None:
        with self._lock:
            made.users -= 1
            replaced = made is not self._current and not made.users
        if replaced:
            self._close(made.clients)

    def _renew(self, failed: _Made[C] | None) -> bool:
        """Whether there are clients other than those that failed."""
        with self._renewing:
            with self._lock:
                if self._closed or self._current is not failed:
                    return not self._closed
            if self._clock() - self._renewed_at < RENEWAL:
                return False
            if failed is not None:  # the first ones are no renewal
                self._renewed_at = self._clock()
            try:
                made = _Made(self._make())
            except ERRORS as error:
                self._failed(error)
                return False
            with self._lock:
                if not self._closed:
                    self._current = made
                    return True
        self._close(made.clients)
        return False

    def _failed(self, error: Exception) -> None:
        self._renewed_at = self._clock()
        self._problem = SqsError(type(error).__name__, text_of(error))
        logger.warning("no new AWS session for the next {:g} s: {}", RENEWAL, self._problem)
