"""The present stack of every thread, for the log and the debug pages."""

import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FrameType

from loguru import logger

DEEPEST = 60
"""The number of frames shown, the innermost."""


@dataclass(frozen=True, slots=True)
class Stack:
    """One thread: its name, and its innermost frame."""

    thread: str
    ident: int
    frame: FrameType

    def calls(self) -> Iterator[tuple[CodeType, int]]:
        """The code and line of each frame, innermost first."""
        frame: FrameType | None = self.frame
        for _ in range(DEEPEST):
            if frame is None:
                return
            # Not by `traceback`: it reads source files, and dictionaries that other threads change.
            yield frame.f_code, frame.f_lineno or 0
            frame = frame.f_back

    def lines(self) -> list[str]:
        """Its frames, innermost first, a line each."""
        return [f"{code.co_filename}:{line} {code.co_name}" for code, line in self.calls()]


def stacks() -> list[Stack]:
    """All threads of Python, the caller's too; a thread without a name is shown by its number."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return [
        Stack(names.get(ident, f"thread {ident}"), ident, frame)
        for ident, frame in sys._current_frames().items()
    ]


def log_stacks() -> None:
    """One line of the log for each thread."""
    for stack in sorted(stacks(), key=lambda one: one.thread):
        logger.bind(stack_of=stack.thread, stack=stack.lines()).warning("stack of a thread")
