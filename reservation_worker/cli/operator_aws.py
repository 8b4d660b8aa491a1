"""AWS for the operators' verbs: bounded calls, and errors with advice."""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError

from reservation_worker.errors import OperationError
from reservation_worker.sqs import session as aws
from reservation_worker.sqs.batches import plain
from reservation_worker.sqs.credentials import text_of

if TYPE_CHECKING:
    from boto3.session import Session

_PATIENT = Config(
    connect_timeout=3,
    read_timeout=10,
    retries={"mode": "standard", "total_max_attempts": 3},
)
_LOCAL = ("localhost", "localhost.localstack.cloud")
_ADVICE = {
    "AccessDenied": "allow it to the role or user that `doctor` shows",
    "NonExistentQueue": "check the queue's URL and AWS_REGION",
    "QueueDoesNotExist": "check the queue's URL and AWS_REGION",
    "InvalidClientTokenId": "check AWS_PROFILE and the credentials",
    "ExpiredToken": "log in again: the credentials have expired",
}


def session(region: str, config: Config = _PATIENT) -> "Session":
    """A session whose calls take at most about half a minute, because a person waits.

    Raises ConfigurationError for AWS_* variables that boto3 can't work with.
    """
    with aws.explained():
        return aws.session(region, config)


def refuse_real(verb: str, *urls: str) -> None:
    """Raises OperationError unless all of `urls` are on this machine."""
    for url in urls:
        host = urlsplit(url).hostname or ""
        try:
            local = ipaddress.ip_address(host).is_loopback
        except ValueError:
            local = host in _LOCAL
        if not local:
            raise OperationError(
                f"{url} is not on this machine, and {verb} sends events that real workers settle:"
                " see --help; --yes does it all the same"
            )


def refused(error: OperationError) -> bool:
    """Whether AWS answered with a no, so that nothing was done; else that is not known."""
    cause = error.__cause__
    if not isinstance(cause, ClientError):
        return isinstance(cause, NoCredentialsError)
    return cause.response["ResponseMetadata"]["HTTPStatusCode"] < 500


def code_of(error: BaseException | None) -> str:
    """The code of AWS's answer, as `plain` writes it; empty if there was no answer."""
    if not isinstance(error, ClientError):
        return ""
    return plain(error.response.get("Error", {}).get("Code"))


def explain(error: Exception) -> tuple[str, str]:
    """boto3's error in words, and the advice on it: empty for a code of AWS that has none."""
    if isinstance(error, NoCredentialsError):
        return "there are no AWS credentials", "set AWS_PROFILE, log in, or give a role"
    if code := code_of(error):
        message = error.response.get("Error", {}).get("Message", "")  # type: ignore[attr-defined]
        return f"{code}: {message}".rstrip(": ."), _ADVICE.get(code, "")
    advice = "check the network, the region, AWS_ENDPOINT_URL and the VPC endpoint"
    return f"no answer: {' '.join(text_of(error).split())}", advice


@contextmanager
def asking(action: str) -> Iterator[None]:
    """Turns boto3's errors into an OperationError; `action` finishes "could not ..."."""
    try:
        yield
    except aws.ERRORS as error:
        detail, advice = explain(error)
        end = f"; {advice}" if advice else ""
        raise OperationError(f"could not {action}: {detail}{end}") from error
