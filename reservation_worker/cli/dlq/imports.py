"""`dlq import`: sends what `export` saved, after every line of it was checked."""

import argparse
import base64
import binascii
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reservation_worker.cli import terminal
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


def run(args: argparse.Namespace, desk: Desk) -> int:
    """Send them in order. Raises OperationError; nothing is sent when a line is wrong."""
    found = read(_content(args.file), ours=not args.to_queue)
    url = desk.queues.source if args.to_queue else desk.queues.dlq
    shown = desk.source if args.to_queue else desk.dlq
    sent: list[int] = []
    problems: list[str] = []
    with terminal.progress("sent") as bar:
        task = bar.add_task("sending", total=len(found))
        sized = (((number, line), weight) for number, line, weight in found)
        for batch in batches(sized):
            if desk.interrupt.pause(0):
                break
            try:
                failed = desk.queues.send(url, [line for _, line in batch])
            except OperationError as error:
                lines = f"lines {batch[0][0]} to {batch[-1][0]}"
                problems.append(f"{error}; {lines} may have been sent or not")
                break
            sent += [number for at, (number, _) in enumerate(batch) if at not in failed]
            problems += [f"line {batch[at][0]} was refused: {one}" for at, one in failed.items()]
            bar.update(task, completed=len(sent))
    text = f"{len(sent)} of {plural(len(found), 'message')} sent to {shown}"
    if len(sent) < len(found):
        text += f"; the last was line {sent[-1]}" if sent else "; none"
    if problems:
        raise OperationError("\n  ".join([text, *problems[:_SHOWN]]))
    print(text, file=sys.stderr)
    return 130 if desk.interrupt.came else 0


def read(content: bytes, ours: bool) -> list[tuple[int, dict[str, Any], int]]:
    """Line number, message to send and its size, for each line that is not blank.

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


def _content(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise OperationError(f"{name} can't be read: {error.strerror}") from error


def _parse(line: bytes) -> tuple[str, dict[str, dict[str, Any]], str | None]:
    """Body, attributes and trace header. Raises ValueError that says what is wrong."""
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
