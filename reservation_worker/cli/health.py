"""The verb `health`: asks a running worker's probe; its exit code is for a container's probe.

A wrong SERVER_PORT is 1, too, because Docker reserves 2.
"""

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from reservation_worker.cli.arguments import checked
from reservation_worker.cli.text import short
from reservation_worker.config.parsers import base_url
from reservation_worker.errors import OperationError

if TYPE_CHECKING:
    from reservation_worker.clients.http_answer import Answer

NAME = "health"
HELP = "Ask the running worker whether it is healthy."
EXIT_CODES = "Exit codes: 0 healthy (or ready), 1 anything else, 2 wrong usage."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The probe to ask, and the worker's URL."""
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument(
        "--ready", action="store_true", help="ask /ready: can the worker settle events now?"
    )
    asked.add_argument(
        "--url",
        type=checked(base_url),
        help="the URL to ask (default: http://127.0.0.1:SERVER_PORT/health)",
    )


def run(args: argparse.Namespace) -> int:
    """Print the probe's result in one line. Raises OperationError if there is none."""
    from reservation_worker.cli import worker_http  # noqa: PLC0415

    url = args.url or f"{_base()}/{'ready' if args.ready else 'health'}"
    answer = worker_http.get(url)
    failing = _failing(answer)
    if failing is None:
        raise OperationError(f"{url} answers {answer.status}, but not like a worker's probe")
    print(f"ok: {url}" if not failing else f"fail: {'; '.join(failing)}")
    return 1 if failing else 0


def _base() -> str:
    """The worker's URL, from SERVER_HOST and SERVER_PORT alone: others may be wrong."""
    from reservation_worker.cli import worker_http  # noqa: PLC0415
    from reservation_worker.config.settings import inspect  # noqa: PLC0415
    from reservation_worker.config.sources import gather  # noqa: PLC0415

    values, sources = gather(os.environ, Path("."), [])
    parsed, wrong = inspect(values, sources)
    for name in ("SERVER_HOST", "SERVER_PORT"):
        if name.lower() not in parsed:
            raise OperationError(wrong[name])
    return worker_http.base_url(parsed["server_host"], parsed["server_port"])


def _failing(answer: "Answer") -> list[str] | None:
    """The failing checks with their details; None if the answer is not a worker's."""
    try:
        body = json.loads(answer.body)
        failing = [f"{name}: {body['checks'][name]['detail']}" for name in body["failing"]]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if answer.status != (503 if failing else 200):
        return None
    # Another server may have answered.
    return [short(text, 200) for text in failing]
