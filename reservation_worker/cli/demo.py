"""The verb `demo`: runs a scenario on embedded parts and reconciles the ledger."""

import argparse
import importlib.util
import json
import shlex
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from reservation_worker.cli.arguments import checked, latency, seed
from reservation_worker.config.parsers import whole
from reservation_worker.errors import OperationError

if TYPE_CHECKING:
    from reservation_worker.simulator.play import Play, Result

NAME = "demo"
HELP = "Settle a scenario on an embedded queue and neighbours, and reconcile the ledger."

_FOR_VERBS = (
    "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "SQS_QUEUE_URL",
    "RESERVATION_API_BASE", "INVENTORY_GRPC_ADDR", "SERVER_PORT", "GRPC_DEBUG_PORT",
)  # fmt: skip
"""The settings that other verbs need to find this demo."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All arguments are optional."""
    parser.add_argument(
        "--events",
        type=checked(whole(1, 9_999_999)),
        default=1000,
        metavar="N",
        help="messages (default: 1000)",
    )
    parser.add_argument(
        "--latency-ms",
        type=checked(latency),
        default=40.0,
        metavar="MS",
        help="how long a call to a neighbour takes (default: 40)",
    )
    parser.add_argument(
        "--character",
        choices=("contract", "today"),
        default="contract",
        help="neighbours that keep the contract, or that behave like today's (default: contract)",
    )
    parser.add_argument(
        "--seed", type=checked(seed), default=0, metavar="N", help="each makes another scenario"
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave everything running and print the URLs"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of the tables"
    )


def run(args: argparse.Namespace) -> int:
    """Run the demo. Raises OperationError unless it reconciles."""
    if importlib.util.find_spec("ministack") is None:
        raise OperationError(
            "MiniStack is not installed: in the project's directory, pip install '.[demo]'"
        )
    # Lets the child processes end in order also when the terminal closes or a script stops.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    from reservation_worker.simulator.play import PlayError  # noqa: PLC0415
    from reservation_worker.simulator.processes.child import ChildError  # noqa: PLC0415

    directory = Path(tempfile.mkdtemp(prefix="reservation-worker-demo-"))
    try:
        problem = "" if _run(args, directory) else "the demo failed"
    except (ChildError, PlayError, OperationError) as error:
        problem = str(error)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    if problem:
        raise OperationError(f"{problem}\nThe logs of all parts are in {directory}")
    shutil.rmtree(directory, ignore_errors=True)
    return 0


def _run(args: argparse.Namespace, directory: Path) -> bool:
    from reservation_worker.cli.demo_view import progress, show  # noqa: PLC0415
    from reservation_worker.simulator.neighbours.character import Character  # noqa: PLC0415
    from reservation_worker.simulator.play import Play  # noqa: PLC0415

    with ExitStack() as stack:
        with progress(quiet=args.json) as watch:
            character = Character(args.character)
            play = stack.enter_context(
                Play(directory, args.events, args.latency_ms, args.seed, watch, character)
            )
            play.play()
            if not args.keep:
                play.stop_worker()
            result = play.result()
        if args.json:
            print(json.dumps(result.as_dict(), ensure_ascii=False), flush=True)
        else:
            show(result)
        return _keep(play, result) if args.keep else result.ok


def _keep(play: "Play", result: "Result") -> bool:
    """Wait for ctrl-C. The URLs go to stderr, because the result goes to stdout."""
    stack, worker = play.stack, play.worker
    settings = " ".join(f"{name}={shlex.quote(worker.env[name])}" for name in _FOR_VERBS)
    try:
        print(
            f"""
Everything is still running:
  status page        {worker.base}/
  probes, metrics    {worker.base}/health  /ready  /metrics
  debug server       127.0.0.1:{worker.env["GRPC_DEBUG_PORT"]} (gRPC)
  simulator          {stack.neighbours.control_base}/ledger  /calls  /healthz
  AWS endpoint       {stack.sqs.url} (AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test)
  queue              {stack.queue_url}
  dead-letter queue  {stack.dlq_url}
  logs               {worker.directory}
For the other verbs (doctor, publish, dlq, burst --seed-url {stack.neighbours.control_base})
in another terminal:
  export {settings}
Press ctrl-C to stop it.""",
            file=sys.stderr,
            flush=True,
        )
        worker.wait_ended()
    except KeyboardInterrupt:
        print("stopping", file=sys.stderr)
        play.stop_worker()
        return result.ok and worker.wait(0) == 0
    raise OperationError(f"the worker ended by itself, with exit code {worker.wait(0)}")


def _leave(number: int, frame: object) -> None:
    raise SystemExit(128 + number)
