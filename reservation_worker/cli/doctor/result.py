"""A check and its results."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Known = Mapping[str, Any]
"""The valid settings, by field of Settings."""


class CheckStatus(StrEnum):
    """Only FAILURE makes the exit code 1."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the table; `advice` says what to do unless the status is OK."""

    check: str
    status: CheckStatus
    detail: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """Runs by itself; `needs` are the fields of Settings that it reads."""

    name: str
    needs: tuple[str, ...]
    run: Callable[[Known], list[CheckResult]]


def ok(check: str, detail: str) -> CheckResult:
    """The check passed."""
    return CheckResult(check, CheckStatus.OK, detail)


def warning(check: str, detail: str, advice: str) -> CheckResult:
    """The worker works, but not as it should."""
    return CheckResult(check, CheckStatus.WARNING, detail, advice)


def failure(check: str, detail: str, advice: str) -> CheckResult:
    """The worker cannot work like this."""
    return CheckResult(check, CheckStatus.FAILURE, detail, advice)


def unknown(check: str, detail: str, advice: str) -> CheckResult:
    """The check could not decide."""
    return CheckResult(check, CheckStatus.UNKNOWN, detail, advice)
