"""The credentials that boto3 chose, and the identity that they give."""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from reservation_worker.cli.doctor import aws_calls
from reservation_worker.cli.doctor.result import CheckResult, Known, failure, ok, unknown
from reservation_worker.errors import ConfigurationError
from reservation_worker.sqs import session as aws
from reservation_worker.sqs.credentials import text_of

if TYPE_CHECKING:
    from boto3.session import Session

NAME = "credentials"
IDENTITY = "identity"

# Descriptions of botocore's credential providers.
METHODS = {
    "env": "static keys from the environment (AWS_ACCESS_KEY_ID)",
    "assume-role": "a role assumed by a profile of ~/.aws",
    "assume-role-with-web-identity": "web identity (IRSA, the service account's role)",
    "sso": "IAM Identity Center (SSO) by a profile of ~/.aws",
    "login": "the console's login by a profile of ~/.aws",
    "shared-credentials-file": "keys in ~/.aws/credentials",
    "config-file": "keys in ~/.aws/config",
    "custom-process": "the credential_process of a profile of ~/.aws",
    "container-role": "a container's role (EKS Pod Identity or ECS)",
    "iam-role": "the machine's role (EC2 instance profile)",
}
_HOW = "set AWS_PROFILE, give the service account a role (IRSA, EKS Pod Identity), or log in"


def credentials(known: Known) -> list[CheckResult]:
    """Two results: the provider, and sts:GetCallerIdentity."""
    try:
        session = aws_calls.session(known["aws_region"])
        found = session.get_credentials()
        if found is None:
            return [failure(NAME, "boto3 finds no AWS credentials", _HOW)]
        row = ok(NAME, METHODS.get(found.method or "", f"by boto3's {found.method}"))
        # Exchanges a token or reads a file, which get_credentials() has not done yet.
        found.get_frozen_credentials()
    except ConfigurationError as error:
        return [failure(NAME, str(error), _HOW)]
    except ClientError as error:
        advice = "check the role's trust policy and the annotation of the service account"
        return [failure(NAME, f"the role can't be assumed: {error}", advice)]
    except aws.ERRORS as error:
        return [failure(NAME, f"the credentials can't be loaded: {text_of(error)}", _HOW)]
    return [row, _identity(session)]


def _identity(session: "Session") -> CheckResult:
    if row := aws_calls.not_asked(IDENTITY, "STS"):
        return row
    try:
        answer = session.client("sts").get_caller_identity()
    except ClientError as error:
        return aws_calls.failed_call(IDENTITY, error)
    except aws.ERRORS as error:
        advice = "nothing to do if only STS is out of reach and the queue answers"
        return unknown(IDENTITY, f"STS can't be asked: {error}", advice)
    return ok(IDENTITY, answer["Arn"])
