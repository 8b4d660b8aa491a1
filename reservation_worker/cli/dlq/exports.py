"""`dlq export`: all messages as JSON Lines; the queue stays as it is."""

import argparse
import base64
import json
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TextIO

from reservation_worker.cli import streams
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.text import plural
from reservation_worker.errors import OperationError


def run(args: argparse.Namespace, desk: Desk) -> None:
    """Write them; a file that could not be finished is removed. Raises OperationError."""
    if args.file in (None, streams.STDOUT):
        _write(desk, streams.output())
        return
    try:
        # Customers' data: only its owner may read it.
        file = os.open(args.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise OperationError(f"{args.file} is there already: name a new file") from error
    except OSError as error:
        raise OperationError(f"{args.file} can't be written: {error.strerror}") from error
    try:
        with open(file, "w") as out:
            count = _write(desk, out)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(args.file)
        if isinstance(error, OSError):
            raise OperationError(f"{args.file} can't be written: {error.strerror}") from error
        raise
    if args.json:
        print(json.dumps({"dlq": desk.dlq, "file": args.file, "messages": count}, indent=2))
    else:
        print(f"{plural(count, 'message')} saved in {args.file}", file=sys.stderr)


def as_dict(letter: Letter) -> dict[str, Any]:
    """One line's object; a binary value is base64 under the name BinaryValue."""
    return {
        "message_id": letter.id,
        "sent_time": datetime.fromtimestamp(letter.sent_at, UTC).isoformat(timespec="milliseconds"),
        "receive_count": letter.receive_count,
        "body": letter.body,
        "attributes": {name: _plain(value) for name, value in letter.attributes.items()},
        "trace_header": letter.trace_header,
        "source_arn": letter.source_arn,
    }


def _plain(value: Any) -> dict[str, str]:
    return {
        part: base64.b64encode(content).decode() if isinstance(content, bytes) else content
        for part, content in value.items()
    }


def _write(desk: Desk, out: TextIO) -> int:
    count = 0
    for letter in desk.letters():
        out.write(json.dumps(as_dict(letter)) + "\n")
        count += 1
    return count
