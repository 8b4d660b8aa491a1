"""What every thread is doing now, for the log and for people."""

import sys
import threading
import traceback
from dataclasses import dataclass
from types import FrameType

from loguru import logger

DEEPEST = 60
"""So many frames of a stack are shown: the innermost."""


@dataclass(frozen=True, slots=True)
class Stack:
    """One thread: its name, and its innermost frame."""

    thread: str
    ident: int
    frame: FrameType

    def lines(self) -> list[str]:
        """Its frames, innermost first, a line each."""
        walked = traceback.StackSummary.extract(
            traceback.walk_stack(self.frame), limit=DEEPEST, lookup_lines=False
        )
        return [f"{one.filename}:{one.lineno} {one.name}" for one in walked]


def stacks() -> list[Stack]:
    """All threads of Python, the caller's too; what has no name is called by its number."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return [
        Stack(names.get(ident, f"thread {ident}"), ident, frame)
        for ident, frame in sys._current_frames().items()
    ]


def log_stacks() -> None:
    """One line of the log for each thread."""
    for stack in sorted(stacks(), key=lambda one: one.thread):
        logger.bind(stack_of=stack.thread, stack=stack.lines()).warning("stack of a thread")
