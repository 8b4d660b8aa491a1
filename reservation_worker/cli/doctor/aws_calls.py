"""AWS calls for checks: each is tried once, within seconds; failures become results."""

from typing import TYPE_CHECKING

from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError

from reservation_worker.cli.doctor.result import CheckResult, failure
from reservation_worker.cli.operator_aws import ADVICE
from reservation_worker.sqs import session as aws

if TYPE_CHECKING:
    from boto3.session import Session

_DENIED = {"AccessDenied", "AccessDeniedException"}
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
    with aws.explained():
        return aws.session(region, config)


def code_of(error: ClientError) -> str:
    """The error's code, without SQS's legacy prefix."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code.removeprefix("AWS.SimpleQueueService.")


def denied(error: ClientError) -> bool:
    """Whether AWS knows the caller and denies the action."""
    return code_of(error) in _DENIED


def failed_call(check: str, error: Exception, action: str = "") -> CheckResult:
    """The result of a call that failed; `action` is the IAM action that the call needs."""
    if isinstance(error, NoCredentialsError):
        return failure(check, "there are no AWS credentials", "set AWS_PROFILE, or give a role")
    if not isinstance(error, ClientError):
        advice = "check the network, the region, AWS_ENDPOINT_URL and the VPC endpoint"
        return failure(check, f"no answer: {error}", advice)
    code = code_of(error)
    detail = f"{code}: {error.response.get('Error', {}).get('Message', '')}"
    if denied(error):
        return failure(check, detail, f"allow {action}; {_WHERE}" if action else _WHERE)
    return failure(check, detail, ADVICE.get(code, "look the code up in AWS's documentation"))
