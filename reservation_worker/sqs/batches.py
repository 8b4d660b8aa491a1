"""SQS's wire rules: the limits of messages and batches, and the answers to batches.

Imports no boto3, because the operators' verbs use it before they connect.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

BATCH = 10
"""The most entries in one batch (SNS and EventBridge have the same limit)."""
MAX_BYTES = 1024 * 1024
"""The most bytes of a message, attributes included, and of a batch."""
MAX_ATTRIBUTES = 10
"""The most attributes of a message."""

NOT_ALLOWED = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""A character that SQS refuses in bodies and in attributes."""

# Codes of a void receipt handle (LocalStack and AWS use the second).
_GONE = frozenset({"ReceiptHandleIsInvalid", "InvalidParameterValue", "MessageNotInflight"})

MARK = "dlq_"
"""The prefix of the attributes that the worker adds to a dead letter."""

Attributes = Mapping[str, Mapping[str, Any]]
"""A message's attributes by name, each with DataType and StringValue or BinaryValue."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BatchFailure:
    """Why an entry of a batch failed. A retry helps only if it is not the sender's fault."""

    code: str
    sender_fault: bool
    message: str = ""

    @property
    def gone(self) -> bool:
        """Whether the receipt handle is void."""
        return self.code in _GONE

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


def receipt_entries(receipts: Sequence[str], **more: int) -> Any:
    """A batch's entries. Their ids are positions: two copies of a message may be in one batch."""
    return [
        {"Id": str(position), "ReceiptHandle": receipt, **more}
        for position, receipt in enumerate(receipts)
    ]


def failures(answer: Mapping[str, Any]) -> dict[int, BatchFailure]:
    """The failed entries of a batch's answer by position; the entries' Ids are their positions."""
    return {
        int(entry["Id"]): BatchFailure(
            plain(entry.get("Code")), bool(entry.get("SenderFault")), entry.get("Message") or ""
        )
        for entry in answer.get("Failed", [])
    }


def plain(code: str | None) -> str:
    """An error code without the prefix of SQS's older protocol and the suffix of LocalStack."""
    return (code or "Unknown").removeprefix("AWS.SimpleQueueService.").removesuffix("Exception")


def message(body: str, attributes: Attributes, trace_header: str | None) -> dict[str, Any]:
    """The parameters of SendMessage for a message; `trace_header` is the AWSTraceHeader."""
    system = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace_header}}
    return {
        "MessageBody": body,
        "MessageAttributes": dict(attributes),
        "MessageSystemAttributes": system if trace_header else {},
    }


def size(body: str, attributes: Attributes) -> int:
    """Bytes as SQS counts them: the body, and each attribute's name, type and value."""
    return len(body.encode("utf-8", "surrogatepass")) + sum(
        len(name.encode())
        + len(value.get("DataType", "").encode())
        + len(value.get("StringValue", "").encode("utf-8", "surrogatepass"))
        + len(value.get("BinaryValue", b""))
        for name, value in attributes.items()
    )


def fit(body: str, attributes: Attributes, most_bytes: int) -> Attributes:
    """The attributes without as many of our last marks as exceed `most_bytes`."""
    while size(body, attributes) > most_bytes:
        fewer = without_last_mark(attributes)
        if fewer is None:
            break
        attributes = fewer
    return attributes


def without_last_mark(attributes: Attributes) -> Attributes | None:
    """The attributes without the last of our marks; None if there is no mark left."""
    marks = [name for name in attributes if name.startswith(MARK)]
    if not marks:
        return None
    return {name: value for name, value in attributes.items() if name != marks[-1]}


def batches(
    items: Iterable[tuple[T, int]], most: int = BATCH, most_bytes: int = MAX_BYTES
) -> Iterator[list[T]]:
    """The items in order, at most `most` and `most_bytes` in each batch; items come with sizes."""
    batch: list[T] = []
    weight = 0
    for item, item_size in items:
        if batch and (len(batch) == most or weight + item_size > most_bytes):
            yield batch
            batch, weight = [], 0
        batch.append(item)
        weight += item_size
    if batch:
        yield batch
