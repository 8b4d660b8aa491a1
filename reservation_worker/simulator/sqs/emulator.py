"""Names, credentials and clients for an emulator of AWS."""

from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

NAME = "reservation-events"
"""The name of the queue and of the rule that fills it."""
REGION = "ap-northeast-2"
# The emulator takes any credentials, and boto3 needs some.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def sqs_client(endpoint_url: str) -> "SQSClient":
    """A new boto3 client."""
    # Ignores a profile in the caller's environment.
    core = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    return boto3.Session(botocore_session=core).client(
        "sqs",
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(
            max_pool_connections=50,
            proxies={},
            read_timeout=30,
            retries={"total_max_attempts": 2, "mode": "standard"},
        ),
    )
