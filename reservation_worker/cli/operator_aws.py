"""AWS for the operators' verbs: bounded calls, and errors with advice."""

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from reservation_worker.errors import OperationError
from reservation_worker.sqs import session as aws

if TYPE_CHECKING:
    from boto3.session import Session

_LOCAL = ("localhost", "localhost.localstack.cloud")
ADVICE = {
    "AccessDenied": "allow it to the role or user that `doctor` shows",
    "AccessDeniedException": "allow it to the role or user that `doctor` shows",
    "NonExistentQueue": "check the queue's URL and AWS_REGION",
    "QueueDoesNotExist": "check the queue's URL and AWS_REGION",
    "InvalidClientTokenId": "check AWS_PROFILE and the credentials",
    "ExpiredToken": "log in again: the credentials have expired",
}


def session(region: str) -> "Session":
    """A session whose calls take at most about half a minute, because a person waits.

    Raises ConfigurationError for AWS_* variables that boto3 can't work with.
    """
    config = Config(
        connect_timeout=3,
        read_timeout=10,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
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


@contextmanager
def asking(action: str) -> Iterator[None]:
    """Turns boto3's errors into an OperationError; `action` finishes "could not ..."."""
    try:
        yield
    except NoCredentialsError as error:
        raise OperationError(
            f"could not {action}: there are no AWS credentials; set AWS_PROFILE or log in"
        ) from error
    except ClientError as error:
        details = error.response.get("Error", {})
        code = str(details.get("Code", "")).removeprefix("AWS.SimpleQueueService.")
        advice = ADVICE.get(code)
        text = f"could not {action}: {code}: {details.get('Message', '')}".rstrip(": .")
        raise OperationError(f"{text}; {advice}" if advice else text) from error
    except (BotoCoreError, OSError) as error:
        raise OperationError(
            f"could not {action}: {' '.join(str(error).split())}; check the network and"
            " AWS_ENDPOINT_URL"
        ) from error
