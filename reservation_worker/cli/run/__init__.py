"""The verb `run`: the worker, until a signal asks it to stop; SIGUSR1 logs its threads' stacks."""

import argparse
import atexit
import faulthandler
import os
import signal
import sys
import time
from select import select
from typing import NoReturn

from reservation_worker.cli.run.one_cpu import PERIOD, OneCpu, allowed
from reservation_worker.cli.run.text_lines import lines_for
from reservation_worker.errors import OperationError
from reservation_worker.observability.log_writer import LogWriter, never_block

DEFAULT_LIMIT = 30.0
"""The longest stop before SHUTDOWN_TIMEOUT is known, in seconds."""

NAME = "run"
HELP = "Run the worker until SIGTERM or SIGINT; this is the default."
EXIT_CODES = "Exit codes: 0 after a clean stop, 2 wrong usage or configuration, otherwise 1."

STDOUT, STDERR = 1, 2
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""All ask for the same stop, because a closed terminal must not end the worker without one."""
FLUSH = 1.0
"""The longest wait at exit for stdout's reader to take the last log lines, in seconds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: the worker is configured by its environment."""


def run(args: argparse.Namespace) -> int:
    """Run the worker. Once it has started this does not return: no stuck thread may hold it up.

    Raises ConfigurationError with every problem if the configuration is wrong, and OperationError
    when the system has no thread left.
    """
    # When the first stop signal came, by the monotonic clock.
    asked_at: float | None = None
    limit = DEFAULT_LIMIT
    starting = True
    _keep_standard_descriptors()
    wakeup = _wakeup_pipe()

    def ask(number: int, frame: object) -> None:
        # No locks here: the main thread may hold any of them.
        nonlocal asked_at
        if asked_at is None:
            # Ends the process with code 1 if a step of the stop gets stuck.
            faulthandler.dump_traceback_later(limit, exit=True, file=STDERR)
            asked_at = time.monotonic()
            if starting:
                _leave_the_start()

    # Only its byte in the pipe is needed; without a handler the signal would end the process.
    signal.signal(signal.SIGUSR1, lambda number, frame: None)
    # As early as possible, because the kernel discards signals without a handler for process 1.
    for number in STOPPING:
        signal.signal(number, ask)

    # Wrong settings are reported before the worker's heavy imports.
    from reservation_worker.config.sources import survey  # noqa: PLC0415

    found = survey(unattended=True)
    settings = found.settings()
    limit = settings.shutdown_timeout
    one_cpu = OneCpu() if settings.worker_one_cpu and len(allowed()) > 1 else None
    from loguru import logger  # noqa: PLC0415

    from reservation_worker.observability.logger import configure  # noqa: PLC0415
    from reservation_worker.observability.stacks import log_stacks  # noqa: PLC0415

    # Before the libraries, because some log while they are imported.
    log = _start_log()
    write = lines_for(settings.log_format, STDOUT, log.put)
    configure(settings.log_level, settings.pod_name, write)
    for warning in found.warnings:
        logger.warning("{}", warning)
    from reservation_worker.bootstrap import build  # noqa: PLC0415

    try:
        worker = build(settings)
    except OperationError as error:
        logger.error("{}", error)
        return 1
    starting = False
    worker.metrics.count_dropped_log_lines(log.dropped)
    code = 0
    if asked_at is None:
        try:
            worker.start()
            while asked_at is None:
                if one_cpu and not select([wakeup], [], [], PERIOD)[0]:
                    one_cpu.look()
                # Every signal since the last read: many SIGUSR1 are answered once.
                elif signal.SIGUSR1 in os.read(wakeup, 4096) and asked_at is None:
                    log_stacks()
        except RuntimeError as error:
            logger.error("raise the limit of memory or processes, a thread can't start: {}", error)
            code = 1
    code |= worker.stop()
    left = FLUSH if asked_at is None else asked_at + limit - time.monotonic()
    log.flush(max(0.0, min(FLUSH, left)))
    os._exit(code)


def _keep_standard_descriptors() -> None:
    """Make writes to stderr non-blocking, and keep descriptors 0 to 2 from other files."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        pass  # it was closed, and the next file opened would get its number and its text
    os.close(opened)
    never_block(STDERR)


def _leave_the_start() -> NoReturn:
    """End before anything was received: AWS may take longer to answer than a stop may."""
    # A weak reference's callback would swallow and print the exit; then the stop follows the start.
    sys.unraisablehook = lambda _: None
    raise SystemExit(0)


def _wakeup_pipe() -> int:
    """The reading end of a pipe that gets the number of each signal.

    Python runs a handler only between two bytecodes of the main thread; the interpreter writes to
    the pipe at once, so that no signal is missed just before a blocking read.
    """
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def _start_log() -> LogWriter:
    log = LogWriter(STDOUT)
    try:
        log.start()
    except RuntimeError as error:
        raise OperationError(
            f"raise the limit of memory or processes, a thread can't start: {error}"
        ) from error
    # For exits before the worker has started, and by an exception.
    atexit.register(log.flush, FLUSH)
    return log
