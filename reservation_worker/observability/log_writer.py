"""A thread that writes the log lines, so that no other thread waits for their reader."""

import os
import select
import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue

CAPACITY = 2 * 1024 * 1024
"""Characters that may wait to be written; further lines are dropped and counted."""
LINGER = 0.02
"""Seconds that a line waits for others, so that one write takes them all."""


class LogWriter:
    """Writes lines to the file descriptor `fd`, in order.

    A pipe that nobody reads blocks its writers for ever. Here only this object's daemon thread is
    blocked; lines beyond `capacity` characters are dropped.
    """

    def __init__(self, fd: int, capacity: int = CAPACITY) -> None:
        self._fd = fd
        self._capacity = capacity
        # put() may interrupt itself, because a garbage collection can run a finalizer that logs. A
        # Condition would deadlock there, as loguru's enqueue=True does.
        self._queue: SimpleQueue[str | threading.Event] = SimpleQueue()
        # Each of these has a single writer: the callers of put() count as one.
        self._accepted = self._finished = 0
        self._refused = self._failed = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)

    def start(self) -> None:
        """Start writing. Raises RuntimeError when the system has no thread left."""
        self._thread.start()

    def put(self, line: str) -> None:
        """Queue one line. It never blocks; only one thread at a time may call it."""
        if self._accepted - self._finished + len(line) > self._capacity:
            self._refused += 1
            return
        self._accepted += len(line)
        self._queue.put(line)

    def dropped(self) -> int:
        """The number of lines that found no room or could not be written."""
        return self._refused + self._failed

    def flush(self, timeout: float) -> None:
        """Wait until all lines put so far are written, for at most `timeout` seconds."""
        written = threading.Event()
        self._queue.put(written)
        if self._thread.is_alive():
            written.wait(timeout)

    def _run(self) -> None:
        while True:
            taken = [self._queue.get()]
            time.sleep(LINGER)
            with suppress(Empty):
                while True:
                    taken.append(self._queue.get_nowait())
            lines = [one for one in taken if isinstance(one, str)]
            text = "".join(lines)
            try:
                self._write(text.encode())
            except OSError:
                # A full disk or a closed pipe: there is nowhere to report it.
                self._failed += len(lines)
            self._finished += len(text)
            for one in taken:
                if isinstance(one, threading.Event):
                    one.set()

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                # Another process that shares the descriptor has made it non-blocking.
                writable = select.poll()
                writable.register(self._fd, select.POLLOUT)
                writable.poll()


def never_block(fd: int) -> None:
    """Make writes to `fd` fail instead of waiting for a reader. Raises OSError.

    It is for stderr, which C libraries and the interpreter write to directly.
    """
    try:
        # A second description of the same file: O_NONBLOCK then affects neither stdout nor the
        # shell nor other holders of the first one.
        flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY
        own = os.open(f"/proc/self/fd/{fd}", flags)
    except OSError:
        # A socket, another user's pipe, no /proc.
        os.set_blocking(fd, False)
    else:
        os.dup2(own, fd)
        os.close(own)
