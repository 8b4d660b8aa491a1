"""`dlq list`: what is in there, in groups."""

import argparse
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reservation_worker.cli import terminal
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.dlq.text import plural, short

_SAMPLES = 2
_AGES = {"under 1 h": 3_600.0, "1 h to 1 d": 86_400.0, "1 d to 7 d": 604_800.0}
_OLDEST = "over 7 d"


@dataclass(slots=True)
class Group:
    """Messages with the same reason, type and age. `sources` tells copies apart."""

    reason: str
    type: str
    age: str
    count: int = 0
    oldest: float = 0.0
    sources: set[tuple[str, bytes]] = field(default_factory=set)
    samples: list[dict[str, str | None]] = field(default_factory=list)

    def add(self, letter: Letter, seconds: float) -> None:
        """One more, so many seconds old."""
        if letter.origin not in self.sources and len(self.samples) < _SAMPLES:
            error = letter.text("dlq_error")
            if error is None and isinstance(letter.event, Exception):
                error = str(letter.event)
            self.samples.append(
                {"id": letter.id, "reservation_id": letter.reservation_id, "error": error}
            )
        self.count += 1
        self.oldest = max(self.oldest, seconds)
        self.sources.add(letter.origin)

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "reason": self.reason,
            "type": self.type,
            "age": self.age,
            "count": self.count,
            "copies": self.count - len(self.sources),
            "oldest_seconds": round(self.oldest),
            "samples": self.samples,
        }


def run(args: argparse.Namespace, desk: Desk) -> int:
    """Print them."""
    found = groups(desk.letters(), time.time())
    total = sum(group.count for group in found)
    if args.json:
        shown = {
            "dlq": desk.dlq,
            "messages": total,
            "partial": desk.partial,
            "groups": [group.as_dict() for group in found],
        }
        print(json.dumps(shown, indent=2))
        return 0
    console = terminal.stdout()
    if found:
        console.print(_table(found))
        _print_samples(console, found)
    console.print(Text(f"{plural(total, 'message')} in {desk.dlq}"), soft_wrap=True)
    return 0


def groups(letters: Iterable[Letter], now: float) -> list[Group]:
    """The largest first; `now` is in Unix seconds."""
    found: dict[tuple[str, str, str], Group] = {}
    for letter in letters:
        seconds = now - letter.since
        bucket = next((name for name, end in _AGES.items() if seconds < end), _OLDEST)
        key = (letter.reason, letter.type, bucket)
        found.setdefault(key, Group(*key)).add(letter, seconds)
    return sorted(found.values(), key=lambda group: (-group.count, group.reason, group.type))


def _table(found: list[Group]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("count", "copies"):
        table.add_column(name, justify="right")
    for name in ("reason", "type", "age"):
        table.add_column(name)
    for group in found:
        copies = group.count - len(group.sources)
        table.add_row(
            str(group.count),
            str(copies or "-"),
            group.reason,
            group.type,
            group.age,
        )
    return table


def _print_samples(console: Console, found: list[Group]) -> None:
    console.print("Samples; `dlq show ID` has all of one:")
    for group in found:
        for sample in group.samples:
            parts = (sample["id"], sample["reservation_id"], sample["error"])
            line = "  ".join(short(part, 120) for part in (group.reason, *parts) if part)
            console.print(Text(f"  {line}"), soft_wrap=True)
