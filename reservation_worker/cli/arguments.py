"""argparse with suggestions, and the types of the verbs' arguments."""

import argparse
import difflib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from reservation_worker.config.parsers import must_be
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


class Parser(argparse.ArgumentParser):
    """The program's parser and, because sub-parsers have their parent's class, every verb's."""

    def parse_known_args(  # type: ignore[override]  # argparse's is overloaded by namespace
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Exits with 2 at an argument that is left over: with the usage of its own verb."""
        parsed, left = super().parse_known_args(args, namespace)
        if left:
            options = (one for action in self._actions for one in action.option_strings)
            self.error(f"unrecognized arguments: {' '.join(left)}{did_you_mean(left[0], options)}")
        return parsed, left

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = [str(choice) for choice in action.choices]
            text = f"{value!r} is not one of {', '.join(names)}{did_you_mean(str(value), names)}"
            raise argparse.ArgumentError(action, text)


def did_you_mean(text: str, names: Iterable[str]) -> str:
    """The end of an error message: the name most like `text`, or nothing."""
    near = difflib.get_close_matches(text.partition("=")[0], list(names), 1)
    return f": did you mean {near[0]}?" if near else ""


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
        raise ValueError(f"one of {', '.join(names)}")
    return names[text]


def rate(text: str) -> float:
    """A number of events a second."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= 100_000:
        raise ValueError("a number of events a second, above 0 and up to 100000")
    return number
