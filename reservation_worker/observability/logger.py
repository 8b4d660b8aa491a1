"""JSON log lines through loguru: one object a line, whatever a message's fields hold."""

import json
import logging
import sys
import traceback
from datetime import UTC
from typing import TYPE_CHECKING, Any, TextIO

from loguru import logger

if TYPE_CHECKING:
    from loguru import Message, Record

LEVELS = {"debug": "DEBUG", "info": "INFO", "warn": "WARNING", "error": "ERROR"}
_SHOWN = {"WARNING": "warn", "CRITICAL": "error"}


def render(record: "Record", pod_name: str) -> str:
    """One record as one line of JSON. ASCII only, so no field can break or fake a line."""
    level = record["level"].name
    line: dict[str, Any] = {
        "ts": record["time"].astimezone(UTC).isoformat(timespec="milliseconds"),
        "level": _SHOWN.get(level, level.lower()),
        "msg": record["message"],
        "pod_name": pod_name,
        "thread": record["thread"].name,
        **record["extra"],
    }
    error = record["exception"]
    if error is not None:
        line["error"] = repr(error.value)
        line["traceback"] = "".join(
            traceback.format_exception(error.type, error.value, error.traceback)
        )
    return json.dumps(line, default=str)


class _FromStandardLibrary(logging.Handler):
    """Libraries log by the standard library; their lines join ours."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "WARNING" if record.levelno < logging.ERROR else "ERROR"
        try:
            text = record.getMessage()
        except Exception:
            text = str(record.msg)  # a library's wrong arguments are no reason to fail in it
        logger.bind(logger=record.name).opt(exception=record.exc_info).log(level, "{}", text)


def configure(level: str, pod_name: str, stream: TextIO | None = None) -> None:
    """Log JSON lines of at least `level` (debug, info, warn, error) to `stream` (stdout)."""
    out = stream or sys.stdout

    def sink(message: "Message") -> None:
        try:
            out.write(render(message.record, pod_name) + "\n")
            out.flush()
        except (OSError, ValueError):
            # A full disk or a closed pipe must not stop a settlement; nobody is left to tell.
            return

    logger.remove()
    # Neither backtrace nor diagnose: they print the values of variables.
    logger.add(sink, level=LEVELS[level], format="{message}", backtrace=False, diagnose=False)
    logging.basicConfig(handlers=[_FromStandardLibrary()], level=logging.WARNING, force=True)
