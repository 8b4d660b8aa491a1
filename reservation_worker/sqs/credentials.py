"""Credentials of an unattended process: their errors, and a bounded credential_process."""

import os
import signal
import subprocess
import threading
from contextlib import suppress
from typing import Any

import botocore.session
from botocore.credentials import AssumeRoleProvider, ProcessProvider
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    LoginError,
    MetadataRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    SSOError,
    TokenRetrievalError,
)

from reservation_worker.sqs.batches import plain

PATIENCE = 7.0
"""A credential_process may take so many seconds; that is less than the shortest stop."""

UNREADABLE = (AttributeError, LookupError, TypeError)
"""Raised for an answer of another form. botocore reads credentials (`[]`, say) without a check."""
_ERRORS = (
    *UNREADABLE,
    CredentialRetrievalError,
    LoginError,
    MetadataRetrievalError,
    NoAuthTokenError,
    NoCredentialsError,
    SSOError,
    TokenRetrievalError,
    # botocore raises it only for refreshed credentials that have expired, too.
    RuntimeError,
)
_CODES = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidIdentityToken",
        "InvalidSecurity",
        "InvalidSignature",
        "InvalidToken",
        "MissingAuthenticationToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClient",
    }
)
# The operations by which botocore itself gets credentials.
_EXCHANGES = frozenset(
    {"AssumeRole", "AssumeRoleWithWebIdentity", "CreateToken", "GetRoleCredentials"}
)


def of_credentials(error: Exception) -> bool:
    """Whether a call failed because credentials are missing, expired or refused.

    Such a call had no effect, and other credentials may help. A policy's refusal is not one.
    """
    if not isinstance(error, ClientError):
        return isinstance(error, _ERRORS)
    details = error.response.get("Error", {})
    code = plain(details.get("Code"))
    expired = denied(code) and "expired" in details.get("Message", "").lower()
    return code in _CODES or error.operation_name in _EXCHANGES or expired


def text_of(error: Exception) -> str:
    """The text of an error that a call of boto3's raised."""
    if isinstance(error, UNREADABLE):
        return f"AWS or the source of the credentials answered in another form: {error!r}"
    return str(error)


def denied(code: str) -> bool:
    """Whether an error code is the refusal of a policy, KMS's codes included."""
    return "AccessDenied" in code or code in ("AuthorizationError", "UnauthorizedOperation")


def bound_processes(core: botocore.session.Session) -> None:
    """Let each credential_process of a session run as CredentialProcess.

    That is the process of its profile, and of any source_profile that a role is assumed from.
    botocore waits for them without a limit.
    """

    def provider(profile: str) -> ProcessProvider:
        return ProcessProvider(profile, lambda: core.full_config, popen=CredentialProcess)

    chain: Any = core.get_component("credential_provider")
    profile = core.get_config_variable("profile") or "default"
    chain.insert_before(ProcessProvider.METHOD, provider(profile))
    # A source_profile gets its own providers at each look-up; botocore has no public way to them.
    assuming = chain.get_provider(AssumeRoleProvider.METHOD)
    assuming._profile_provider_builder._create_process_provider = provider


class CredentialProcess(subprocess.Popen[bytes]):
    """A credential_process in its own process group; one that hangs ends with its children."""

    running: "set[CredentialProcess]" = set()
    _starting = threading.Lock()

    def __init__(self, command: list[str], **options: Any) -> None:
        # A stop may come before somebody waits for its output, or while it starts.
        with self._starting:
            super().__init__(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)
            self.running.add(self)

    def communicate(
        self, input: bytes | None = None, timeout: float | None = None
    ) -> tuple[bytes, bytes]:
        """Its stdout and stderr. Raises CredentialRetrievalError after PATIENCE seconds."""
        try:
            return super().communicate(input, PATIENCE if timeout is None else timeout)
        except subprocess.TimeoutExpired as error:
            raise CredentialRetrievalError(
                provider=ProcessProvider.METHOD,
                error_msg=f"it gave no answer within {error.timeout:g} s",
            ) from None
        finally:
            # It still runs after a timeout, and when a stop signal interrupts the start.
            if self.poll() is None:
                self.end()
                self.wait()
            self.running.discard(self)

    def end(self) -> None:
        """Kill it and its children."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    @classmethod
    def end_all(cls) -> None:
        """Kill those that still run."""
        with cls._starting:
            running = tuple(cls.running)
        for process in running:
            process.end()
