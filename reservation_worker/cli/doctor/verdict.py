"""What a check finds: rows of name, verdict, detail and advice."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Known = Mapping[str, Any]
"""The settings that are right, by field of Settings: the others are not in it."""


class Verdict(StrEnum):
    """How it looks; only WRONG makes the exit code 1."""

    GOOD = "good"
    ODD = "odd"
    WRONG = "wrong"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `advice` says what to do unless it is good."""

    check: str
    verdict: Verdict
    detail: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A question that can be asked by itself. `needs` are the fields of Settings it reads."""

    name: str
    needs: tuple[str, ...]
    ask: Callable[[Known], list[Row]]


def good(check: str, detail: str) -> Row:
    """Nothing to do."""
    return Row(check, Verdict.GOOD, detail)


def odd(check: str, detail: str, advice: str) -> Row:
    """It works, but not as it should."""
    return Row(check, Verdict.ODD, detail, advice)


def wrong(check: str, detail: str, advice: str) -> Row:
    """It does not work so."""
    return Row(check, Verdict.WRONG, detail, advice)


def unknown(check: str, detail: str, advice: str) -> Row:
    """It can't be found out from here."""
    return Row(check, Verdict.UNKNOWN, detail, advice)
