"""`dlq export`: all messages as JSON Lines; the queue stays as it is."""

import argparse
import base64
import json
import os
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from reservation_worker.cli import streams
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.text import plural


def run(args: argparse.Namespace, desk: Desk) -> None:
    """Write them; a file that could not be finished is removed. Raises OperationError."""
    if args.file in (None, streams.STDOUT):
        _write(desk, streams.output())
        return
    with streams.written(args.file, os.O_EXCL) as out:
        try:
            count = _write(desk, out)
        except BaseException:
            os.unlink(args.file)
            raise
    if args.json:
        desk.print_json(file=args.file, messages=count)
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
    out.flush()
    return count
