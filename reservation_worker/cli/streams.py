"""Standard input and output as the verbs' data: "-" is a name for them, and they may be closed."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, TypeVar

from reservation_worker.cli.text import first
from reservation_worker.errors import InvalidEvent, OperationError

T = TypeVar("T")

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


def read_lines(content: bytes, parse: Callable[[str], T], hint: str = "") -> dict[int, T]:
    """The lines that are not blank, by number, each as `parse` returns it.

    Raises OperationError, which names each line that is not UTF-8 or for which `parse` raises
    ValueError or InvalidEvent; `hint` ends its first sentence.
    """
    found: dict[int, T] = {}
    problems = []
    # By line feed alone: JSON may hold the other separators as they are.
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            found[number] = parse(line.strip().decode())
        except UnicodeDecodeError as error:
            problems.append(f"line {number}: it is not UTF-8 (byte {error.start + 1})")
        except (ValueError, InvalidEvent) as error:
            problems.append(f"line {number}: {error}")
    if problems:
        total = len(problems) + len(found)
        verb = "is" if len(problems) == 1 else "are"
        head = f"{len(problems)} of {total} lines {verb} wrong, and nothing was sent{hint}:"
        raise OperationError("\n  ".join([head, *first(problems)]))
    return found


def output() -> TextIO:
    """Stdout, for data that must not be lost. Raises OperationError if it is closed."""
    if sys.stdout is None:
        raise OperationError("the output can't be written: stdout is closed")
    return sys.stdout


@contextmanager
def written(name: str, flags: int) -> Iterator[TextIO]:
    """Stdout, or the file `name`, made or opened with `flags`; only its owner can read it.

    Raises OperationError, also for a write that fails later.
    """
    if name == STDOUT:
        yield output()
        return
    try:
        # Customers' data.
        with open(os.open(name, os.O_WRONLY | os.O_CREAT | flags, 0o600), "a") as out:
            yield out
    except FileExistsError as error:
        raise OperationError(f"{name} is there already: name a new file") from error
    except OSError as error:
        raise OperationError(f"{name} can't be written: {error.strerror}") from error
