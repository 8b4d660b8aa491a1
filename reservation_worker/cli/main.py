"""The command line: picks a verb, and turns its errors into a sentence and an exit code."""

import argparse
import codecs
import errno
import io
import os
import select
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from reservation_worker import __version__
from reservation_worker.cli import (
    burst,
    completion,
    config,
    demo,
    dlq,
    doctor,
    health,
    publish,
    run,
)
from reservation_worker.cli.parser import Parser
from reservation_worker.config.redaction import Redactor
from reservation_worker.errors import ConfigurationError, OperationError

PROGRAM = "reservation-worker"
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""The errors of a write to a full disk, to one that fails, or to a descriptor opened to read."""
EXIT_CODES = """\
Exit codes: 0 done, 1 failed or found something wrong, 2 wrong usage or
configuration, 130 interrupted by ctrl-C.
"""
EPILOG = f"""\
Configuration comes from the environment, .env.local and .env in this order, and
above them from the AWS secret SECRET_NAME if USE_SECRET_MANAGER is true.
.env.example lists every variable; `{PROGRAM} config` shows the values in
force and where each was set.
"""


class Verb(Protocol):
    """The interface of a verb's module, which imports nothing heavy before `run`."""

    NAME: str
    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


VERBS: tuple[Verb, ...] = (run, health, doctor, publish, burst, dlq, demo, config, completion)
DEFAULT: Verb = run


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb that `argv` names, or `run`, and return the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Without a locale (LC_ALL=C) Python uses ASCII, and would escape customers' names in a CSV.
        # Any other encoding stays, and a character that it lacks is escaped.
        ascii_only = codecs.lookup(sys.stdout.encoding).name == "ascii"
        sys.stdout.reconfigure(encoding="utf-8" if ascii_only else None, errors="backslashreplace")
    try:
        try:
            return _run_verb(sys.argv[1:] if argv is None else list(argv))
        finally:
            print(end="", flush=True)  # here, where a broken pipe can still be caught
    except ConfigurationError as error:
        _report(error.problems)
        return 2
    except OperationError as error:
        _complain(f"{PROGRAM}: {Redactor(os.environ)(str(error))}")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        if not _reader_is_gone():
            raise  # a socket's, not stdout's
        return _without_output()
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        _complain(f"{PROGRAM}: {error.filename or 'the output'} can't be written: {error.strerror}")
        return _without_output()


def _run_verb(arguments: list[str]) -> int:
    parser = make_parser()
    args = parser.parse_args(arguments)
    if args.verb is None:
        args = parser.parse_args([*arguments, DEFAULT.NAME])
    verb: Verb = args.verb
    from reservation_worker.config import libraries  # noqa: PLC0415

    # Must come before the verb imports the libraries that read the variables.
    libraries.drop_reserved(os.environ)
    return verb.run(args)


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = Parser(
        prog=PROGRAM,
        description="Settles ticket reservations from an SQS queue.",
        epilog=f"{EPILOG}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-V", "--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.set_defaults(verb=None)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", description="no verb: run")
    for verb in VERBS:
        child = verbs.add_parser(verb.NAME, help=verb.HELP, description=verb.HELP)
        verb.add_arguments(child)
        child.add_exit_codes(getattr(verb, "EXIT_CODES", EXIT_CODES))
        child.set_defaults(verb=verb)
    return parser


def _report(problems: Sequence[str]) -> None:
    plural = "" if len(problems) == 1 else "s"
    _complain(f"{PROGRAM}: {len(problems)} configuration problem{plural}")
    # Some quote errors of boto3 or OpenTelemetry, which contain values.
    redact = Redactor(os.environ)
    for problem in problems:
        _complain(f"  - {redact(problem)}")


def _complain(text: str) -> None:
    # `run` makes stderr non-blocking: a pipe that nobody reads must not change the exit code.
    with suppress(BlockingIOError):
        print(text, file=sys.stderr)


def _without_output() -> int:
    # The rest of the buffer would fail again at interpreter exit.
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


def _reader_is_gone() -> bool:
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)  # errors and hang-ups are always reported
    return bool(poll.poll(0))
