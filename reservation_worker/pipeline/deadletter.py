"""The attributes of a dead letter: the producer's, and ours beside them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from reservation_worker.outcome import Reject
from reservation_worker.sqs.batches import MARK, MAX_ATTRIBUTES, NOT_ALLOWED
from reservation_worker.sqs.queue import Message

MAX_ERROR = 512
"""The most characters of dlq_error (docs/contract.md#dead-letters)."""


def attributes_of(
    message: Message, reject: Reject, wall_clock: Callable[[], float]
) -> dict[str, Any]:
    """The attributes of the dead letter. `wall_clock` gives Unix seconds.

    Ours come last and in the order of their importance, because the last ones are left out where
    they exceed ten attributes or the DLQ's size limit. dlq_reason is the most important; then
    dlq_source_message_id, by which readers recognise copies.
    """
    kept: dict[str, Any] = {
        name: {
            part: value[part]
            for part in ("DataType", "StringValue", "BinaryValue")
            if part in value
        }
        for name, value in message.attributes.items()
        if not name.startswith(MARK)
    }
    error = NOT_ALLOWED.sub("�", reject.error)[:MAX_ERROR].strip() or "no further detail"
    now = datetime.fromtimestamp(wall_clock(), UTC)
    ours = {
        "dlq_reason": ("String", reject.reason.value),
        "dlq_source_message_id": ("String", message.id),
        "dlq_error": ("String", error),
        "dlq_attempts": ("Number", str(message.receive_count)),
        "dlq_time": ("String", now.isoformat(timespec="milliseconds")),
    }
    for name, (data_type, text) in list(ours.items())[: MAX_ATTRIBUTES - len(kept)]:
        kept[name] = {"DataType": data_type, "StringValue": text}
    return kept
