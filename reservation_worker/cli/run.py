"""The verb `run`: the worker, until SIGTERM or SIGINT."""

import argparse
import os
import signal
import sys
import threading

NAME = "run"
HELP = "Run the worker until SIGTERM or SIGINT; this is the default."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: the worker is configured by its environment."""


def run(args: argparse.Namespace) -> int:
    """Run the worker. Once it has started this does not return: no stuck thread may hold it up.

    Raises ConfigurationError with every problem if the configuration is wrong.
    """
    # Wrong settings are told before the heavy imports of the worker itself.
    from reservation_worker.sources import load_settings  # noqa: PLC0415

    settings = load_settings()
    from loguru import logger  # noqa: PLC0415

    from reservation_worker.app import build  # noqa: PLC0415
    from reservation_worker.observability.logger import configure  # noqa: PLC0415

    configure(settings.log_level, settings.pod_name)
    stop_asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_asked.set())
    try:
        app = build(settings)
    except OSError as error:
        logger.error("SERVER_PORT {} can't be listened on: {}", settings.server_port, error)
        return 1
    app.start()
    stop_asked.wait()
    # The last word, should a step of the stop itself get stuck.
    last_word = threading.Timer(settings.shutdown_timeout, os._exit, (1,))
    last_word.daemon = True
    last_word.start()
    code = app.stop()
    sys.stdout.flush()
    os._exit(code)
