"""The results of checks, and how they are shown: a table for people, JSON for scripts."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.text import Text

from reservation_worker.cli import terminal

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


_STYLES = {
    CheckStatus.OK: "green",
    CheckStatus.WARNING: "yellow",
    CheckStatus.FAILURE: "bold red",
    CheckStatus.UNKNOWN: "cyan",
}


def show(rows: list[CheckResult], console: Console | None = None) -> None:
    """Print the table, then the number of results of each status."""
    console = console or terminal.stdout()
    marks = dict(zip(CheckStatus, (*terminal.marks(console), "?"), strict=True))
    arrow = "→" if console.encoding.startswith("utf") else "->"
    table = terminal.table()
    table.add_column("")
    table.add_column("check", no_wrap=True)
    table.add_column("finding, and how to mend it")
    for row in rows:
        mark = Text(marks[row.status], _STYLES[row.status])
        text = Text(row.detail)
        if row.advice:
            text.append(f"\n{arrow} {row.advice}", "bold")
        table.add_row(mark, row.check, text)
    terminal.print_table(console, table)
    counts = Counter(row.status for row in rows)
    console.print(Text(", ".join(f"{counts[v]} {marks[v]} {v}" for v in CheckStatus)))


def as_json(rows: list[CheckResult]) -> str:
    """One object: `ok`, false if a check failed, and the results as `checks`."""
    fine = not any(row.status is CheckStatus.FAILURE for row in rows)
    shown = {"ok": fine, "checks": [asdict(row) for row in rows]}
    return json.dumps(shown, indent=2)
