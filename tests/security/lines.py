"""Parses the worker's log lines as strictly as a log collector would."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

ALWAYS = {"ts", "level", "msg", "pod_name", "thread"}
SETTLED = ALWAYS | {
    "event_type", "reservation_id", "event_id", "trace_id", "duration_ms", "outcome", "attempt",
    "message_id", "id",
}  # fmt: skip
SOMETIMES = {"order_id", "warnings", "error", "dlq_reason", "logger", "traceback"}
LONGEST = 32 * 1024
"""No line is longer, in bytes, whatever its fields hold."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), "duplicate key"
    return found


def read_line(raw: bytes) -> dict[str, Any]:
    """The object of one line; fails unless it has exactly the log's keys."""
    assert len(raw) <= LONGEST, raw[:200]
    # No ESC that a terminal would obey, no U+2028 where a reader would break the line.
    assert raw.isascii(), raw
    assert raw.decode().isprintable(), raw
    line: dict[str, Any] = json.loads(raw, object_pairs_hook=_once)
    assert ALWAYS <= set(line) <= SETTLED | SOMETIMES, raw
    assert line["level"] in ("debug", "info", "warn", "error")
    datetime.fromisoformat(line["ts"])
    if "outcome" in line:
        assert set(line) >= SETTLED, raw
    return line


def read_log(path: Path) -> list[dict[str, Any]]:
    """All lines of a log file; fails if the last one is cut off."""
    *lines, rest = path.read_bytes().split(b"\n")
    assert rest == b""
    return [read_line(raw) for raw in lines]
