"""What a dead letter looks like: the producer's body and attributes, and ours beside them."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from reservation_worker.outcome import Reject
from reservation_worker.sqs.queue import Message

MAX_ATTRIBUTES = 10
MAX_BYTES = 1024 * 1024
MAX_ERROR = 512
"""SQS's limits, and ours for dlq_error in characters (contract, section 5)."""

# Everything outside the characters that SQS allows in a string.
_NOT_ALLOWED = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def attributes_of(
    message: Message, reject: Reject, wall_clock: Callable[[], float]
) -> dict[str, Any]:
    """The attributes of the dead letter. `wall_clock` gives Unix seconds.

    Where they do not fit, ours give way; dlq_reason last, dlq_source_message_id before it, for
    readers tell copies by it.
    """
    kept: dict[str, Any] = {
        name: {
            part: value[part]
            for part in ("DataType", "StringValue", "BinaryValue")
            if part in value
        }
        for name, value in message.attributes.items()
        if not name.startswith("dlq_")
    }
    error = _NOT_ALLOWED.sub("�", reject.error)[:MAX_ERROR].strip() or "no further detail"
    now = datetime.fromtimestamp(wall_clock(), UTC)
    ours = {
        "dlq_reason": ("String", reject.reason.value),
        "dlq_source_message_id": ("String", message.id),
        "dlq_error": ("String", error),
        "dlq_attempts": ("Number", str(message.receive_count)),
        "dlq_time": ("String", now.isoformat(timespec="milliseconds")),
    }
    room = MAX_BYTES - len(message.body.encode("utf-8", "surrogatepass")) - _size(kept)
    for name, (data_type, text) in ours.items():
        attribute = {name: {"DataType": data_type, "StringValue": text}}
        room -= _size(attribute)
        if room < 0 or len(kept) == MAX_ATTRIBUTES:
            break
        kept |= attribute
    return kept


def _size(attributes: Mapping[str, Mapping[str, Any]]) -> int:
    """Bytes as SQS counts them: name, type and value."""
    return sum(
        len(name.encode())
        + len(str(value.get("DataType", "")).encode())
        + len(str(value.get("StringValue", "")).encode())
        + len(value.get("BinaryValue", b""))
        for name, value in attributes.items()
    )
