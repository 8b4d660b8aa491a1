"""The log's writer: no pipe, disk or descriptor makes a caller wait."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from reservation_worker.observability.log_writer import LogWriter
from tests.fake_queue import PATIENCE

FILLER = b"x" * 4096


def full_pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    fill(writer)
    return reader, writer


def full_socket() -> tuple[int, int]:
    reader, writer = (made.detach() for made in socket.socketpair())
    fill(writer)
    return reader, writer


def fill(writer: int) -> None:
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, FILLER)
    except BlockingIOError:
        os.set_blocking(writer, True)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)


def started(fd: int, **limits: int) -> LogWriter:
    writer = LogWriter(fd, **limits)
    writer.start()
    return writer


def read_all(fd: int) -> bytes:
    with os.fdopen(os.dup(fd), "rb") as file:
        return file.read()


def test_lines_are_written_in_order_and_the_flush_waits_for_the_last(
    pipe: tuple[int, int],
) -> None:
    reader, writer = pipe
    log = started(writer)
    lines = [f"line {number}\n" for number in range(1000)]
    for line in lines:
        log.put(line)
    log.flush(PATIENCE)
    os.close(writer)
    assert read_all(reader).decode() == "".join(lines)
    assert log.dropped() == 0


def test_lines_to_an_unread_pipe_are_dropped_and_counted_and_no_caller_waits() -> None:
    reader, writer = full_pipe()
    log = started(writer, capacity=1000)
    for number in range(500):
        log.put(f"{number:09}\n")
    log.flush(0.0)
    assert log.dropped() == 400
    # After the reader is back, the oldest lines arrive whole and in order, and new ones find room.
    expected = b"".join(b"%09d\n" % number for number in range(100))
    found = b""
    while not found.endswith(expected):
        found += os.read(reader, 65536)
    log.flush(PATIENCE)
    log.put("again\n")
    assert os.read(reader, 65536) == b"again\n"
    assert log.dropped() == 400


def test_a_closed_pipe_or_a_full_disk_only_counts(pipe: tuple[int, int]) -> None:
    writer = os.open("/dev/full", os.O_WRONLY)
    log = started(writer)
    log.put("x\n")
    log.put("y\n")
    log.flush(PATIENCE)
    assert log.dropped() == 2


def test_a_non_blocking_descriptor_loses_no_line() -> None:
    reader, writer = full_pipe()
    os.set_blocking(writer, False)
    log = started(writer)
    log.put("x\n")
    found = b""
    while not found.endswith(b"x\n"):
        found += os.read(reader, 65536)
    assert log.dropped() == 0


def test_a_flush_of_a_writer_that_never_started_returns_at_once() -> None:
    LogWriter(1).flush(PATIENCE)


# Standard error.

WATCHDOG = """
import faulthandler, sys, threading, time
from reservation_worker.observability.log_writer import never_block
never_block(2)
faulthandler.dump_traceback_later(0.1, exit=True, file=2)
threading.Thread(target=lambda: 1 / 0).start()
while True:
    try:
        print("x" * 10_000, file=sys.stderr)
    except BlockingIOError:
        pass
"""


@pytest.mark.parametrize("make", [full_pipe, full_socket])
def test_a_watchdog_ends_the_process_although_nobody_reads_stderr(
    make: Callable[[], tuple[int, int]],
) -> None:
    _reader, writer = make()
    done = subprocess.run(
        [sys.executable, "-c", WATCHDOG], stderr=writer, check=False, timeout=PATIENCE
    )
    assert done.returncode == 1


def test_stderr_is_written_while_its_pipe_has_room(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    script = WATCHDOG.replace("while True:", "for _ in ():") + "\ntime.sleep(60)"
    done = subprocess.run([sys.executable, "-c", script], stderr=writer, check=False)
    os.close(writer)
    assert done.returncode == 1
    said = read_all(reader).decode()
    assert "ZeroDivisionError" in said
    assert "Timeout" in said


def test_a_pipe_that_is_shared_with_others_stays_blocking_for_them() -> None:
    script = """
import os, sys
from reservation_worker.observability.log_writer import never_block
never_block(2)
print(os.get_blocking(1), os.get_blocking(2))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
        text=True,
    )
    assert done.stdout == "True False\n"


def test_a_thread_that_logs_does_not_wait_for_another_whose_line_is_being_written() -> None:
    _reader, writer = full_pipe()
    log = started(writer)
    log.put("stuck\n")
    done = threading.Event()
    threading.Thread(target=lambda: (log.put("x\n"), done.set()), daemon=True).start()
    assert done.wait(PATIENCE)
