"""The verb `run`: the worker, until SIGTERM or SIGINT; SIGUSR1 logs what its threads do."""

import argparse
import faulthandler
import os
import signal
import sys
from contextlib import suppress
from select import select

from reservation_worker.cli.run.one_cpu import PERIOD, OneCpu, allowed
from reservation_worker.errors import OperationError

DEFAULT_LIMIT = 30.0
"""How long a stop may take while SHUTDOWN_TIMEOUT is not known yet, in seconds."""

NAME = "run"
HELP = "Run the worker until SIGTERM or SIGINT; this is the default."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: the worker is configured by its environment."""


def run(args: argparse.Namespace) -> int:
    """Run the worker. Once it has started this does not return: no stuck thread may hold it up.

    Raises ConfigurationError with every problem if the configuration is wrong.
    """
    asked = False
    limit = DEFAULT_LIMIT
    # Python runs a handler only between two bytecodes of the main thread; the interpreter writes to
    # this pipe at once, so that no signal is missed just before a blocking read.
    heard, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)

    def ask(number: int, frame: object) -> None:
        # No locks here: the main thread may hold any of them.
        nonlocal asked
        if not asked:
            # The last word, should a step of the stop itself get stuck: exit code 1.
            faulthandler.dump_traceback_later(limit, exit=True)
        asked = True

    # Its byte in the pipe is all that is needed; without a handler the signal would end us.
    signal.signal(signal.SIGUSR1, lambda number, frame: None)
    # First of all, for a container's init process ignores the signals it has no handler for.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)

    # Wrong settings are told before the heavy imports of the worker itself.
    from reservation_worker.config.sources import load_settings  # noqa: PLC0415

    settings = load_settings()
    limit = settings.shutdown_timeout
    one_cpu = OneCpu() if settings.worker_one_cpu and len(allowed()) > 1 else None
    from loguru import logger  # noqa: PLC0415

    from reservation_worker.observability.logger import configure  # noqa: PLC0415
    from reservation_worker.observability.stacks import log_stacks  # noqa: PLC0415

    # Before the libraries: some have their say while they are imported.
    configure(settings.log_level, settings.pod_name)
    from reservation_worker.bootstrap import build  # noqa: PLC0415

    try:
        worker = build(settings)
    except OperationError as error:
        logger.error("{}", error)
        return 1
    code = 0
    if not asked:
        try:
            worker.start()
            while not asked:
                if one_cpu and not select([heard], [], [], PERIOD)[0]:
                    one_cpu.look()
                # Every signal since the last read: many SIGUSR1 are answered once.
                elif signal.SIGUSR1 in os.read(heard, 4096) and not asked:
                    log_stacks()
        except RuntimeError as error:
            logger.error("raise the limit of memory or processes, a thread can't start: {}", error)
            code = 1
    code |= worker.stop()
    # A full disk or a closed pipe has its say nowhere, and not in the exit code.
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(code)
