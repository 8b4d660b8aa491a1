"""The bearer token in RESERVATION_API_TOKEN_FILE, which another process replaces in time."""

import os
import re
import threading

from loguru import logger

from reservation_worker.config import redaction
from reservation_worker.errors import ConfigurationError

LONGEST = 16 * 1024
"""The longest token, in bytes: servers refuse longer headers."""


class TokenFile:
    """The token in the file at `path`; safe for all threads.

    Every token that was read is hidden from then on wherever text is redacted.
    Raises ConfigurationError if it can't be read.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._complained = False
        try:
            self._version = self._stat()
            self._token = self._read()
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                [
                    f"RESERVATION_API_TOKEN_FILE is {path!r}, and no token can be read from it"
                    f" ({_why(error)}): correct the path or the file, or unset it if"
                    " reservation-api wants no token."
                ]
            ) from None

    def current(self, *, refused: bool = False) -> str:
        """The token now; the file is read again if it has changed, or if the last was `refused`."""
        try:
            # Taken before reading, so that a change in between causes one read too many, not one
            # too few.
            version = self._stat()
            if refused or version != self._version:
                with self._lock:
                    self._token = self._read()
                    self._version = version
                    self._complained = False
        except (OSError, ValueError) as error:
            with self._lock:
                complained, self._complained = self._complained, True
            if not complained:
                logger.error(
                    "no token can be read from {} ({}): the last one stays in use",
                    self._path,
                    _why(error),
                )
        return self._token

    def _stat(self) -> tuple[int, ...]:
        # os.stat follows links: Kubernetes replaces a link.
        found = os.stat(self._path)
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> str:
        with open(self._path, "rb") as file:
            raw = file.read(LONGEST + 1).strip()
        if not raw:
            raise ValueError("it is empty")
        if len(raw) > LONGEST:
            raise ValueError(f"it is longer than {LONGEST} bytes")
        # Any other character could end the header and begin another one.
        if not re.fullmatch(rb"[!-~]+", raw):
            raise ValueError("it has characters that no token may have")
        token = raw.decode("ascii")
        redaction.hide(token)
        return token


def bearer(token: str) -> dict[str, str]:
    """The header that carries `token`."""
    return {"Authorization": f"Bearer {token}"}


def _why(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
