"""boto3 sessions whose every call ends in time."""

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from reservation_worker import __version__
from reservation_worker.errors import ConfigurationError
from reservation_worker.sqs.credentials import UNREADABLE, bound_processes, text_of

ERRORS = (
    *(ClientError, BotoCoreError, ResponseParserError, OSError, ValueError, RuntimeError),
    *UNREADABLE,
)
"""The errors that boto3's calls raise.

ResponseParserError is raised for an answer that is not AWS's, such as a proxy's page. RuntimeError
is raised for credentials that have expired before they came.
"""

_FIXED_AGENT = Config(user_agent=f"Boto3/{boto3.__version__} reservation-worker/{__version__}")
"""By default botocore makes its User-Agent anew twice a call, which is a twentieth of its time."""


def session(region: str, config: Config, *, unattended: bool = False) -> boto3.session.Session:
    """A session with `config` as the default of all its clients.

    That bounds the STS call for the credentials, too. `unattended`: no person can answer a
    credential_process, so it is bounded as well. Raises boto3's errors for AWS_* variables that it
    can't work with: see `explained`.
    """
    core = botocore.session.get_session()
    # Only botocore's own one names the caller's application (AWS_SDK_UA_APP_ID).
    if not core.get_config_variable("user_agent_appid"):
        config = _FIXED_AGENT.merge(config)
    core.set_default_client_config(config)
    made = boto3.session.Session(botocore_session=core, region_name=region)
    if unattended:
        # After boto3 has set the core's region, which the STS client uses.
        bound_processes(core)
    return made


@contextmanager
def explained() -> Iterator[None]:
    """Turn boto3's errors while clients are made into a ConfigurationError."""
    try:
        yield
    # Such as a token file or CA bundle that is not there, or AWS_* that boto3 parses.
    except ERRORS as error:
        raise ConfigurationError(
            [
                f"boto3 can't work with its settings ({text_of(error)}): check AWS_PROFILE,"
                " AWS_ENDPOINT_URL and the other AWS_* variables."
            ]
        ) from error
