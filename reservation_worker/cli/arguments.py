"""What the verbs' arguments must be, in the settings' own words."""

import argparse
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """A parser of parsers.py as an argument's type: wrong usage says what it must be."""

    def convert(text: str) -> T:
        try:
            return parse(text)
        except ValueError as expected:
            raise argparse.ArgumentTypeError(f"{text!r} is not {expected}") from None

    return convert


def kind(text: str) -> str:
    """The canonical type of an event, from it or from the metrics' label."""
    from reservation_worker.events import Kind  # noqa: PLC0415

    names = {name: one.event_type for one in Kind for name in (one.value, one.event_type)}
    if text not in names:
        raise ValueError(f"one of {', '.join(names)}")
    return names[text]
