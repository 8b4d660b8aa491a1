"""Prints the results: a table for people, JSON for scripts."""

import json
from collections import Counter
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reservation_worker.cli import terminal
from reservation_worker.cli.doctor.result import CheckResult, CheckStatus

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
    table = Table(box=box.SIMPLE_HEAD)
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
