"""Standard input and output as the verbs' data: "-" is a name for them, and they may be closed."""

import sys
from pathlib import Path
from typing import TextIO

from reservation_worker.errors import OperationError

STDIN = STDOUT = "-"


def shown(name: str) -> str:
    """The name of an input for people."""
    return "stdin" if name == STDIN else name


def read(name: str) -> bytes:
    """All of the file `name`, or of stdin. Raises OperationError."""
    if name == STDIN and sys.stdin is None:
        raise OperationError("stdin can't be read: it is closed")
    try:
        return sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    except OSError as error:
        raise OperationError(f"{shown(name)} can't be read: {error.strerror}") from error


def output() -> TextIO:
    """Stdout, for data that must not be lost. Raises OperationError if it is closed."""
    if sys.stdout is None:
        raise OperationError("the output can't be written: stdout is closed")
    return sys.stdout
