"""Checks permissions by invalid calls: SQS denies a caller before it looks at the parameters.

So no message is touched. The invalid message is invalid in several ways, because each emulator
checks only some of them.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from reservation_worker.cli.doctor import aws_calls
from reservation_worker.cli.doctor.result import CheckResult, ok, unknown, warning
from reservation_worker.cli.operator_aws import code_of
from reservation_worker.sqs import session as aws
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
    # If an emulator hands messages out all the same, they stay visible.
    receive = partial(
        client.receive_message, MaxNumberOfMessages=11, WaitTimeSeconds=0, VisibilityTimeout=0
    )
    delete = partial(client.delete_message, ReceiptHandle=RECEIPT)
    change = partial(client.change_message_visibility, ReceiptHandle=RECEIPT, VisibilityTimeout=0)
    rows = [
        _may("sqs:ReceiveMessage", url, receive),
        _may("sqs:DeleteMessage", url, delete),
        _may("sqs:ChangeMessageVisibility", url, change),
    ]
    if dlq_url is None:
        advice = "correct the dead-letter queue first"
        return [*rows, unknown("sqs:SendMessage", "not probed: the DLQ is not known", advice)]
    return [*rows, _may("sqs:SendMessage", dlq_url, partial(client.send_message, **UNSENDABLE))]


def _may(action: str, url: str, call: Callable[..., Any]) -> CheckResult:
    name = QueueIdentity.of_url(url).name
    try:
        answer = call(QueueUrl=url)
    except aws.ERRORS as error:
        code = code_of(error)
        if code in REFUSALS:
            return ok(action, f"allowed on {name}")
        if aws_calls.denied(error):
            return aws_calls.failed_call(action, error, f"{action} on {name}")
        if code:
            detail = f"{name} answers {code}, which proves nothing"
            return unknown(action, detail, "see the lines above")
        return unknown(action, f"no answer from {name}: {error}", "try again")
    if "MessageId" in answer:
        detail = f"{name} accepted a message that SQS would refuse; {RECEIPT!r} is in it now"
        return warning(action, detail, f"delete {answer['MessageId']}; this is not AWS's SQS")
    detail = f"{name} accepted a call that SQS would refuse, which proves nothing"
    return unknown(
        action, detail, "this is an emulator: run doctor in the worker's own environment"
    )
