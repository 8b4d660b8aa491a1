"""JSON log lines through loguru: one object per line, whatever a message's fields hold.

No line holds a secret. Each field is cut to a maximum length: an event's may be a mebibyte.
"""

import json
import logging
import os
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any

from loguru import logger

from reservation_worker.config.redaction import Redactor

if TYPE_CHECKING:
    from loguru import Message, Record

LEVELS = {"debug": "DEBUG", "info": "INFO", "warn": "WARNING", "error": "ERROR"}
_SHOWN = {"WARNING": "warn", "CRITICAL": "error"}
_LONGEST = 1_000
_LONGEST_TRACEBACK = 6_000
"""Of one field, in characters, because container runtimes split lines of more than 16 KiB."""


def render(record: "Record", pod_name: str, redact: Callable[[str], str]) -> str:
    """One record as one line of JSON, ASCII only, so that no field can break or fake a line."""

    level = record["level"].name
    error = record["exception"]
    given: dict[str, Any] = record["extra"]
    line: dict[str, Any] = {
        "ts": record["time"].astimezone(UTC).isoformat(timespec="milliseconds"),
        "level": _SHOWN.get(level, level.lower()),
        "msg": record["message"],
        "pod_name": pod_name,
        "thread": record["thread"].name,
        **given,
    }
    if error is None and _is_plain([record["message"], *given.values()], redact):
        text = json.dumps(line)
        if len(text) <= _LONGEST:
            return text

    def shown(value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, list | tuple):
            return [shown(item) for item in value]
        return _cut(redact(str(value)), _LONGEST)

    line["msg"] = shown(record["message"])
    line |= {name: shown(value) for name, value in given.items()}
    if error is not None:
        line["error"] = shown(repr(error.value))
        line["traceback"] = _cut(
            redact("".join(traceback.format_exception(error.type, error.value, error.traceback))),
            _LONGEST_TRACEBACK,
        )
    return json.dumps(line)


def _is_plain(values: Sequence[Any], redact: Callable[[str], str]) -> bool:
    """Whether all values are short texts without a secret, numbers, booleans or None.

    It is for speed: nearly every line is plain, and redacting all its texts at once costs a fifth
    of redacting each.
    """
    texts = []
    for value in values:
        if isinstance(value, str):
            texts.append(value)
        elif value is not None and not isinstance(value, bool | int | float):
            return False
    together = "\n".join(texts)
    return len(together) <= _LONGEST and redact(together) == together


def _cut(text: str, longest: int) -> str:
    """Both ends of a text that is too long, because a traceback's last line names the error."""
    # The length in the line, where one character takes up to twelve.
    size = len(text) if text.isascii() and text.isprintable() else len(json.dumps(text))
    if size <= longest:
        return text
    half = len(text) * longest // size // 2
    return f"{text[:half]}... {len(text) - 2 * half} characters ...{text[-half:]}"


class _FromStandardLibrary(logging.Handler):
    """Passes the log lines of libraries on to loguru."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "WARNING" if record.levelno < logging.ERROR else "ERROR"
        try:
            text = record.getMessage()
        except Exception:
            text = str(record.msg)  # wrong arguments: log the template alone
        logger.bind(logger=record.name).opt(exception=record.exc_info).log(level, "{}", text)


def configure(level: str, pod_name: str, write: Callable[[str], object]) -> None:
    """Log JSON lines of at least `level` (debug, info, warn, error) by `write`.

    `write` is called by one thread at a time; it must neither block nor raise. The secrets in the
    present environment are hidden in every line. Call it before grpc is imported, because it
    silences grpc's own log unless GRPC_VERBOSITY is set.
    """
    # gRPC's core writes to stderr past any logger, and quotes a neighbour's text with its line
    # breaks.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    redact = Redactor(os.environ)

    def sink(message: "Message") -> None:
        write(render(message.record, pod_name, redact) + "\n")

    logger.remove()
    # Neither backtrace nor diagnose: they print the values of variables.
    logger.add(sink, level=LEVELS[level], format="{message}", backtrace=False, diagnose=False)
    logging.basicConfig(handlers=[_FromStandardLibrary()], level=logging.WARNING, force=True)
