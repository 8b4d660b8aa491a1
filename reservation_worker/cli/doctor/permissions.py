"""Checks permissions by invalid calls: SQS denies a caller before it looks at the parameters.

So no message is touched. The invalid message is invalid in several ways, because each emulator
checks only some of them.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from reservation_worker.cli.doctor import aws_calls
from reservation_worker.cli.doctor.result import CheckResult, ok, unknown, warning
from reservation_worker.sqs.identity import QueueIdentity

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

RECEIPT = "reservation-worker-doctor"
# SQS's answers to an invalid call that is permitted.
REFUSALS = {
    "InvalidParameterValue",
    "InvalidAttributeValue",
    "InvalidMessageContents",
    "ReadCountOutOfRange",
    "ReceiptHandleIsInvalid",
    "MessageNotInflight",
}
# A control character, eleven attributes (ten are allowed) of an unknown type, and a delay above the
# maximum of 900 s.
UNSENDABLE: Any = {
    "MessageBody": f"{RECEIPT}\x0b",
    "MessageAttributes": {f"n{n}": {"DataType": "None", "StringValue": "x"} for n in range(11)},
    "DelaySeconds": 901,
}


def probe(client: "SQSClient", url: str, dlq_url: str | None) -> list[CheckResult]:
    """A result for each action that the worker needs (docs/contract.md#queue)."""
    rows = [
        _may(
            "sqs:ReceiveMessage",
            url,
            # If an emulator hands messages out all the same, they stay visible.
            lambda: client.receive_message(
                QueueUrl=url, MaxNumberOfMessages=11, WaitTimeSeconds=0, VisibilityTimeout=0
            ),
        ),
        _may(
            "sqs:DeleteMessage",
            url,
            lambda: client.delete_message(QueueUrl=url, ReceiptHandle=RECEIPT),
        ),
        _may(
            "sqs:ChangeMessageVisibility",
            url,
            lambda: client.change_message_visibility(
                QueueUrl=url, ReceiptHandle=RECEIPT, VisibilityTimeout=0
            ),
        ),
    ]
    if dlq_url is None:
        advice = "correct the dead-letter queue first"
        return [*rows, unknown("sqs:SendMessage", "not probed: the DLQ is not known", advice)]
    send = _may(
        "sqs:SendMessage",
        dlq_url,
        lambda: client.send_message(QueueUrl=dlq_url, **UNSENDABLE),
    )
    return [*rows, send]


def _may(action: str, url: str, call: Callable[[], Any]) -> CheckResult:
    name = QueueIdentity.of_url(url).name
    try:
        answer = call()
    except ClientError as error:
        code = aws_calls.code_of(error)
        if code in REFUSALS:
            return ok(action, f"allowed on {name}")
        if aws_calls.denied(error):
            return aws_calls.failed_call(action, error, f"{action} on {name}")
        return unknown(
            action, f"{name} answers {code}, which proves nothing", "see the lines above"
        )
    except (BotoCoreError, OSError, ValueError) as error:
        return unknown(action, f"no answer from {name}: {error}", "try again")
    if "MessageId" in answer:
        detail = f"{name} accepted a message that SQS would refuse; {RECEIPT!r} is in it now"
        return warning(action, detail, f"delete {answer['MessageId']}; this is not AWS's SQS")
    detail = f"{name} accepted a call that SQS would refuse, which proves nothing"
    return unknown(
        action, detail, "this is an emulator: run doctor in the worker's own environment"
    )
