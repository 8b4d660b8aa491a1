"""`dlq import`: sends the messages of an export, after every line of it was checked."""

import argparse
import base64
import binascii
import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

from reservation_worker.cli import streams, terminal
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.letters import without_ours
from reservation_worker.cli.sending import paced, send
from reservation_worker.cli.text import first, plural, short
from reservation_worker.errors import OperationError
from reservation_worker.sqs.batches import MAX_ATTRIBUTES, MAX_BYTES, NOT_ALLOWED, message, size

_SHOWN = 10
_NAME = re.compile(r"(?!\.)(?!.*\.\.)(?!(?i:aws|amazon)\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")
_TYPE = re.compile(r"(String|Number|Binary)(\..+)?")


Message = tuple[dict[str, Any], int]
"""A message to send and its size in bytes."""


def run(args: argparse.Namespace, desk: Desk) -> None:
    """Send the messages that are not in the DLQ already, in order.

    Raises OperationError; nothing is sent when a line is wrong.
    """
    content = streams.read(args.file)
    url = desk.queues.known_source() if args.to_queue else desk.queues.dlq
    shown = desk.source if args.to_queue else desk.dlq
    found = read(content, ours=True)
    there = still_there(desk, found)
    sendable = read(content, ours=not args.to_queue)
    lines = {number: one for number, one in sendable.items() if number not in there}
    desk.report()
    if there and not args.json:
        text = f"{plural(len(there), 'message')} still in the DLQ: skipped"
        print(f"{text} ({_numbers(there)})", file=sys.stderr)
    sent, problems = _send(desk, url, lines)
    text = f"{len(sent)} of {plural(len(lines), 'message')} sent to {shown}"
    if len(sent) < len(lines):
        text += f"; the last was line {sent[-1]}" if sent else "; none"
    if args.json:
        desk.print_json(
            to=shown,
            lines=len(found),
            still_in_dlq=sorted(there),
            sent=len(sent),
            problems=problems,
        )
    if problems:
        raise OperationError("\n  ".join([text, *first(problems, _SHOWN)]))
    if not args.json:
        print(text, file=sys.stderr)


def still_there(desk: Desk, lines: Mapping[int, Message]) -> set[int]:
    """The numbers of the lines whose messages are in the DLQ: same body, same attributes.

    A DLQ that must not be read is not searched, with a warning.
    """
    look = desk.queues.look()
    if not look.visible and not look.hidden:
        return set()
    if look.max_receives is not None and not desk.use_up_receives:
        desk.warnings.append(
            "not checked whether messages are still in the DLQ: it has a RedrivePolicy, and each"
            " reading uses up a receive (--use-up-receives)"
        )
        return set()
    present = Counter(_digest(one.body, one.attributes) for one in desk.letters())
    desk.holds.release()
    there = set()
    for number, (entry, _) in lines.items():
        digest = _digest(entry["MessageBody"], entry["MessageAttributes"])
        if present[digest] > 0:
            present[digest] -= 1
            there.add(number)
    return there


def _digest(body: str, attributes: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Equal for messages with the same body and attributes."""
    parts = [(name, sorted(value.items())) for name, value in sorted(attributes.items())]
    return hashlib.sha256(repr((body, parts)).encode(errors="backslashreplace")).digest()


def _send(desk: Desk, url: str, lines: Mapping[int, Message]) -> tuple[list[int], list[str]]:
    """The numbers of the lines that were sent, and a sentence on each that was not."""
    sent: list[int] = []
    problems: list[str] = []
    sized = ((number, weight) for number, (_, weight) in lines.items())
    with terminal.progress("sending", "sent", len(lines)) as bar:
        for batch in paced(sized, desk.interrupt.pause):
            done = send(batch, lambda left: desk.queues.send(url, [lines[at][0] for at in left]))
            sent += done.sent
            problems += [f"line {number} was refused: {one}" for number, one in done.refused]
            if done.error:
                span = f"lines {batch[0]} to {batch[-1]}"
                problems.append(f"{done.error}; {span} may have been sent or not")
                break
            bar(completed=len(sent))
    return sent, problems


def _numbers(lines: set[int]) -> str:
    shown = first([str(number) for number in sorted(lines)], _SHOWN)
    return f"line{'s' * (len(lines) > 1)} {', '.join(shown)}"


def read(content: bytes, ours: bool) -> dict[int, Message]:
    """The messages by the numbers of their lines, blank ones left out.

    `ours`: with the dlq_* attributes. Raises OperationError that names the wrong lines.
    """

    def parse(line: str) -> Message:
        body, attributes, trace = _parse(line)
        attributes = attributes if ours else without_ours(attributes)
        return message(body, attributes, trace), size(body, attributes)

    return streams.read_lines(content, parse)


def _parse(line: str) -> tuple[str, dict[str, dict[str, Any]], str | None]:
    """Body, attributes and trace header. Raises ValueError with a sentence on the mistake."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(row, dict):
        raise ValueError("it is not an object")
    body, given, trace = row.get("body"), row.get("attributes") or {}, row.get("trace_header")
    if not isinstance(body, str) or not body:
        raise ValueError("body must be a text that is not empty")
    if bad := NOT_ALLOWED.search(body):
        raise ValueError(f"body holds {bad[0]!r}, which SQS does not take")
    if not isinstance(given, dict) or len(given) > MAX_ATTRIBUTES:
        raise ValueError(f"attributes must be an object of at most {MAX_ATTRIBUTES}")
    if trace is not None and not isinstance(trace, str):
        raise ValueError("trace_header must be a text or null")
    attributes = {name: _attribute(name, value) for name, value in given.items()}
    if (weight := size(body, attributes)) > MAX_BYTES:
        raise ValueError(f"it has {weight} bytes, and SQS takes at most {MAX_BYTES}")
    return body, attributes, trace or None


def _attribute(name: str, value: Any) -> dict[str, Any]:
    shown = f"the attribute {short(name, 60)}"
    if not _NAME.fullmatch(name):
        raise ValueError(f"{shown} has a name that SQS does not take")
    kind = value.get("DataType") if isinstance(value, Mapping) else None
    if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
        raise ValueError(f"{shown} needs a DataType: String, Number or Binary")
    part = "BinaryValue" if kind.startswith("Binary") else "StringValue"
    content = value.get(part)
    if not isinstance(content, str) or not content:
        raise ValueError(f"{shown} needs a {part} that is a text and not empty")
    if part == "StringValue":
        if bad := NOT_ALLOWED.search(content):
            raise ValueError(f"{shown} holds {bad[0]!r}, which SQS does not take")
        return {"DataType": kind, part: content}
    try:
        return {"DataType": kind, part: base64.b64decode(content, validate=True)}
    except binascii.Error:
        raise ValueError(f"{shown} is not base64") from None
