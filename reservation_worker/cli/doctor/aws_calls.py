"""AWS calls for checks: each is tried once, within seconds; failures become results."""

import os
from typing import TYPE_CHECKING

from botocore.config import Config

from reservation_worker.cli import operator_aws
from reservation_worker.cli.doctor.result import CheckResult, failure, unknown
from reservation_worker.cli.operator_aws import code_of
from reservation_worker.sqs import credentials

if TYPE_CHECKING:
    from boto3.session import Session

_WHERE = (
    "check AWS_PROFILE, the role's policy, SQS_QUEUE_URL, and in the cluster the IRSA annotation"
)


def session(region: str) -> "Session":
    """A session whose calls end within seconds. Raises ConfigurationError."""
    config = Config(
        connect_timeout=2,
        read_timeout=4,
        retries={"total_max_attempts": 1},
        # The permission probes send invalid parameters on purpose.
        parameter_validation=False,
    )
    return operator_aws.session(region, config)


def denied(error: Exception) -> bool:
    """Whether AWS knows the caller and denies the action."""
    return credentials.denied(code_of(error))


def failed_call(check: str, error: Exception, action: str = "") -> CheckResult:
    """The result of a call that failed; `action` is the IAM action that the call needs."""
    detail, advice = operator_aws.explain(error)
    if denied(error):
        advice = f"allow {action}; {_WHERE}" if action else _WHERE
    return failure(check, detail, advice or "look the code up in AWS's documentation")


def not_asked(check: str, service: str) -> CheckResult | None:
    """The result for a `service` of AWS that a set-up with an emulator of SQS alone leaves out."""
    if not os.environ.get("AWS_ENDPOINT_URL_SQS") or os.environ.get("AWS_ENDPOINT_URL"):
        return None
    advice = "nothing, if AWS_ENDPOINT_URL_SQS is meant"
    return unknown(check, f"not asked: SQS is an emulator, {service} would be AWS's own", advice)
