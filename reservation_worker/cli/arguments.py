"""Types of the verbs' arguments, built on the parsers of the settings."""

import argparse
import math
import re
from collections.abc import Callable
from typing import TypeVar

from reservation_worker.cli.parser import did_you_mean
from reservation_worker.config.parsers import must_be, whole
from reservation_worker.events.kinds import Kind

T = TypeVar("T")

prefix = must_be(
    "the beginning of an id: letters, digits, . _ : and -, at most 100",
    re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}").fullmatch,
)
bus = must_be(
    "a bus's name, or its ARN such as arn:aws:events:ap-northeast-2:123456789012:event-bus/tickets",
    re.compile(
        r"(?:arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/)?[\w/.-]{1,256}", re.A
    ).fullmatch,
)


seed = whole(0, 2**53)
note = must_be("a text: why the letters are closed", str.strip)


def checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Makes a parser of parsers.py an argument's type; its error names the expected form."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except ValueError as expected:
            raise argparse.ArgumentTypeError(f"{text!r} is not {expected}") from None

    return convert


def kind(text: str) -> str:
    """An event's canonical type, from that type or from the metrics' label."""
    names = {name: one.event_type for one in Kind for name in (one.label, one.event_type)}
    if text not in names:
        raise ValueError(f"one of {', '.join(names)}{did_you_mean(text, names)}")
    return names[text]


def _number(test: Callable[[float], bool], expected: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not test(number):
            raise ValueError(expected)
        return number

    return parse


rate = _number(
    lambda number: 0 < number <= 100_000,
    "a number of events a second, above 0 and up to 100000",
)
latency = _number(lambda number: 0 <= number <= 5000, "a number of ms from 0 to 5000")
