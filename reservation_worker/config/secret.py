"""Settings from AWS Secrets Manager: one secret, a JSON object with any of SECRET_KEYS."""

import json
from collections.abc import Mapping
from typing import Any

from reservation_worker.config.redaction import hide_userinfo
from reservation_worker.errors import ConfigurationError

SECRET_KEYS = {
    "sqs_queue_url": "SQS_QUEUE_URL",
    "inventory_grpc_addr": "INVENTORY_GRPC_ADDR",
    "reservation_api_base": "RESERVATION_API_BASE",
    "otel_endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
}
NEEDED_FOR_SECRET = ("USE_SECRET_MANAGER", "SECRET_NAME", "AWS_REGION", "AWS_PROFILE")
SECRET_TIMEOUT = 5
"""How long each connect and each read may take, in seconds."""
SECRET_ATTEMPTS = 3

ADVICE = {
    "ResourceNotFoundException": "check SECRET_NAME and AWS_REGION",
    "AccessDeniedException": "allow the worker's role secretsmanager:GetSecretValue on it",
    "DecryptionFailure": "allow the worker's role kms:Decrypt on the secret's key",
    "InvalidRequestException": "check that the secret is not scheduled for deletion",
}


def read_secret(
    parsed: Mapping[str, Any],
    wrong: Mapping[str, str],
    file_is_wrong: bool,
    *,
    unattended: bool = False,
) -> dict[str, str]:
    """The secret's values by variable name. Raises ConfigurationError if they can't be read.

    `unattended`: see sqs.session.
    """
    blocking = [name for name in NEEDED_FOR_SECRET if name in wrong]
    if blocking or file_is_wrong:
        cause = ", ".join(blocking) or "a .env file"
        raise ConfigurationError(
            [f"The secret was not read, and its values were not checked: correct {cause} first."]
        )
    name, region = parsed["secret_name"], parsed["aws_region"]
    secret = _json_object(_fetch(name, region, unattended))
    if secret is None:
        raise ConfigurationError(
            [
                f"The secret {name!r} in {region} is not a JSON object: store it as JSON text with "
                f"any of the keys {', '.join(SECRET_KEYS)}."
            ]
        )
    problems = [
        f"The key {key} of the secret {name!r} is not a string: put its value in quotes, or "
        "remove the key."
        for key in SECRET_KEYS
        if key in secret and not isinstance(secret[key], str)
    ]
    if problems:
        raise ConfigurationError(problems)
    # Other keys belong to other services that share the secret.
    found = {
        variable: secret[key].strip() for key, variable in SECRET_KEYS.items() if key in secret
    }
    return {variable: text for variable, text in found.items() if text}


def _json_object(text: str) -> dict[str, Any] | None:
    # Not chained: json's error carries the whole secret.
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _fetch(name: str, region: str, unattended: bool) -> str:
    """The text of secret `name`; each call ends within 35 s. Raises ConfigurationError."""
    from botocore.config import Config  # noqa: PLC0415 -- slow to load; most starts need no secret
    from botocore.exceptions import ClientError  # noqa: PLC0415

    from reservation_worker.sqs import session as aws  # noqa: PLC0415
    from reservation_worker.sqs.credentials import text_of  # noqa: PLC0415

    advice = "check the AWS credentials (role or AWS_PROFILE), AWS_REGION and the network"
    try:
        config = Config(
            connect_timeout=SECRET_TIMEOUT,
            read_timeout=SECRET_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": SECRET_ATTEMPTS},
        )
        client = aws.session(region, config, unattended=unattended).client("secretsmanager")
        answer = client.get_secret_value(SecretId=name)
    except ClientError as error:
        advice = ADVICE.get(error.response.get("Error", {}).get("Code", ""), advice)
        why = str(error)
    except aws.ERRORS as error:
        why = text_of(error)
    else:
        if "SecretString" in answer:
            return answer["SecretString"]
        why, advice = "it is binary", "store it as text"
    # An endpoint or a proxy may be given with a password in its URL.
    why = hide_userinfo(" ".join(why.split())).rstrip(".")
    raise ConfigurationError(
        [
            f"The secret {name!r} in {region} could not be read ({why}): {advice}, or set "
            "USE_SECRET_MANAGER=false."
        ]
    )
