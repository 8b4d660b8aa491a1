"""How an emulator of AWS is spoken with."""

from typing import TYPE_CHECKING

import boto3
import botocore.session
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

NAME = "reservation-events"
"""Of the queue, and of the rule that fills it."""
REGION = "ap-northeast-2"
# It takes any; boto3 wants some.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def sqs_client(endpoint_url: str) -> "SQSClient":
    """A boto3 client of its own for the caller."""
    # A profile in the caller's environment must neither be needed nor be there.
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
