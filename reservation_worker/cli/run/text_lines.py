"""The log for a person at a terminal: a JSON line of the log becomes a line of text."""

import json
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

_SHOWN_APART = ("ts", "level", "msg", "traceback", "stack")
# The same in every line of one worker, or of use only where several threads are compared.
_LEFT_OUT = ("pod_name", "thread")
_COLORS = {"warn": "\x1b[33m", "error": "\x1b[31m"}
_RESET = "\x1b[0m"


def lines_for(log_format: str | None, fd: int, put: Callable[[str], None]) -> Callable[[str], None]:
    """What takes the log's JSON lines: `put` itself, or `put` after `text_line`.

    `log_format` is LOG_FORMAT; None is text where `fd` is a terminal.
    """
    terminal = os.isatty(fd)
    if log_format == "json" or (log_format is None and not terminal):
        return put
    color = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return lambda line: put(text_line(line, color))


def text_line(line: str, color: bool = False) -> str:
    """Local time with its zone, level, message and fields; a traceback or stack on lines below.

    A control character of a field can't reach the terminal.
    """
    record: Mapping[str, Any] = json.loads(line)
    level = f"{record['level']:5}"
    if color and record["level"] in _COLORS:
        level = f"{_COLORS[record['level']]}{level}{_RESET}"
    written = datetime.fromisoformat(record["ts"]).astimezone()
    parts = [f"{written:%H:%M:%S %Z}", level, _printable(record["msg"])]
    parts += [
        f"{name}={_value(value)}"
        for name, value in record.items()
        if value is not None and name not in (*_SHOWN_APART, *_LEFT_OUT)
    ]
    below = [*record.get("traceback", "").splitlines(), *record.get("stack", [])]
    return "\n".join([" ".join(parts), *(f"    {_printable(one)}" for one in below)]) + "\n"


def _printable(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)[1:-1]


def _value(value: Any) -> str:
    if isinstance(value, str) and value.isprintable() and value and not set(value) & set(' "='):
        return value
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)
