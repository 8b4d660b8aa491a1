"""The options that choose dead letters. Light: the parser of the command line needs it."""

import argparse
import re
import time

from reservation_worker.cli.arguments import checked
from reservation_worker.cli.dlq.letters import IGNORED, INVALID, REASONS, Letter
from reservation_worker.events.kinds import Kind

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_TYPES = (*(kind.event_type for kind in Kind), IGNORED, INVALID)


FATES = ("settles", "replays", "superseded", "nothing-to-do", "comes-back", "unknown")
"""Those of forecast.py with hyphens, which a test holds them to."""
_FILTERS = ("reason", "type", "id", "older_than", "newer_than")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of one name add up, options of different names narrow."""
    parser.add_argument("--reason", action="append", choices=[*map(str, REASONS)])
    parser.add_argument("--type", action="append", choices=_TYPES, help="the canonical name")
    parser.add_argument(
        "--id", action="append", metavar="ID", help="message id or dlq_source_message_id"
    )
    for name in ("older", "newer"):
        parser.add_argument(
            f"--{name}-than",
            type=checked(span),
            metavar="AGE",
            help="by the time it was dead-lettered: 90s, 30m, 2h, 7d",
        )


def span(text: str) -> int:
    """Seconds."""
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if match is None:
        raise ValueError("a time such as 90s, 30m, 2h or 7d")
    return int(match[1]) * _UNITS[match[2]]


def matches(args: argparse.Namespace, letter: Letter, now: float | None = None) -> bool:
    """Whether the options choose `letter`; `now` is in Unix seconds."""
    age = (time.time() if now is None else now) - letter.since
    return (
        (args.reason is None or letter.reason in args.reason)
        and (args.type is None or letter.type in args.type)
        and (args.id is None or bool({letter.id, letter.source_id} & set(args.id)))
        and (args.older_than is None or age > args.older_than)
        and (args.newer_than is None or age < args.newer_than)
    )


def filtered(args: argparse.Namespace) -> bool:
    """Whether any option narrows the choice."""
    return any(getattr(args, name) is not None for name in _FILTERS)
