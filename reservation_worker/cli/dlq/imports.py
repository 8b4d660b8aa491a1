"""`dlq import`: sends the messages of an export, after every line of it was checked."""

import argparse
import base64
import binascii
import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from reservation_worker.cli import streams, terminal
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.letters import without_ours
from reservation_worker.cli.dlq.text import plural, short
from reservation_worker.errors import OperationError
from reservation_worker.sqs.batches import (
    MAX_ATTRIBUTES,
    MAX_BYTES,
    NOT_ALLOWED,
    batches,
    message,
    size,
)

_SHOWN = 10
_NAME = re.compile(r"(?!\.)(?!.*\.\.)(?!(?i:aws|amazon)\.)[A-Za-z0-9_.-]{1,256}(?<!\.)")
_TYPE = re.compile(r"(String|Number|Binary)(\..+)?")


Line = tuple[int, dict[str, Any], int]
"""A line's number, the message to send and its size in bytes."""


def run(args: argparse.Namespace, desk: Desk) -> int:
    """Send the messages that are not in the DLQ already, in order.

    Raises OperationError; nothing is sent when a line is wrong.
    """
    content = streams.read(args.file)
    url = desk.queues.known_source() if args.to_queue else desk.queues.dlq
    shown = desk.source if args.to_queue else desk.dlq
    found = read(content, ours=True)
    there = still_there(desk, found)
    lines = [one for one in read(content, ours=not args.to_queue) if one[0] not in there]
    desk.report()
    if there and not args.json:
        text = f"{plural(len(there), 'message')} still in the DLQ: skipped"
        print(f"{text} ({_numbers(there)})", file=sys.stderr)
    sent, problems = _send(desk, url, lines)
    text = f"{len(sent)} of {plural(len(lines), 'message')} sent to {shown}"
    if len(sent) < len(lines):
        text += f"; the last was line {sent[-1]}" if sent else "; none"
    if args.json:
        report = {
            "to": shown,
            "lines": len(found),
            "still_in_dlq": sorted(there),
            "sent": len(sent),
            "problems": problems,
            "partial": desk.partial,
            "interrupted": desk.interrupt.came,
        }
        print(json.dumps(report, indent=2))
    if problems:
        raise OperationError("\n  ".join([text, *problems[:_SHOWN]]))
    if not args.json:
        print(text, file=sys.stderr)
    return 130 if desk.interrupt.came else 0


def still_there(desk: Desk, lines: Sequence[Line]) -> set[int]:
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
    desk.release(desk.holds.ids())
    there = set()
    for number, entry, _ in lines:
        digest = _digest(entry["MessageBody"], entry["MessageAttributes"])
        if present[digest] > 0:
            present[digest] -= 1
            there.add(number)
    return there


def _digest(body: str, attributes: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Equal for messages with the same body and attributes."""
    parts = [(name, sorted(value.items())) for name, value in sorted(attributes.items())]
    return hashlib.sha256(repr((body, parts)).encode(errors="backslashreplace")).digest()


def _send(desk: Desk, url: str, lines: Sequence[Line]) -> tuple[list[int], list[str]]:
    """The numbers of the lines that were sent, and a sentence on each that was not."""
    sent: list[int] = []
    problems: list[str] = []
    with terminal.progress("sent") as bar:
        task = bar.add_task("sending", total=len(lines))
        sized = (((number, line), weight) for number, line, weight in lines)
        for batch in batches(sized):
            if desk.interrupt.pause(0):
                break
            try:
                failed = desk.queues.send(url, [line for _, line in batch])
            except OperationError as error:
                span = f"lines {batch[0][0]} to {batch[-1][0]}"
                problems.append(f"{error}; {span} may have been sent or not")
                break
            sent += [number for at, (number, _) in enumerate(batch) if at not in failed]
            problems += [f"line {batch[at][0]} was refused: {one}" for at, one in failed.items()]
            bar.update(task, completed=len(sent))
    return sent, problems


def _numbers(lines: set[int]) -> str:
    shown = ", ".join(map(str, sorted(lines)[:_SHOWN]))
    more = len(lines) - _SHOWN
    return f"line{'s' * (len(lines) > 1)} {shown}{f' and {more} more' if more > 0 else ''}"


def read(content: bytes, ours: bool) -> list[Line]:
    """The lines that are not blank.

    `ours`: with the dlq_* attributes. Raises OperationError that names the wrong lines.
    """
    found = []
    problems = []
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            body, attributes, trace = _parse(line)
        except ValueError as error:
            problems.append(f"line {number}: {error}")
            continue
        attributes = attributes if ours else without_ours(attributes)
        entry = message(body, attributes, trace)
        found.append((number, entry, size(body, attributes)))
    if problems:
        more = len(problems) - _SHOWN
        shown = problems[:_SHOWN] + [f"and {more} more"] * (more > 0)
        text = f"{plural(len(problems), 'wrong line')}, so nothing was sent"
        raise OperationError("\n  ".join([text, *shown]))
    return found


def _parse(line: bytes) -> tuple[str, dict[str, dict[str, Any]], str | None]:
    """Body, attributes and trace header. Raises ValueError with a sentence on the mistake."""
    try:
        row = json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start + 1})") from None
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
