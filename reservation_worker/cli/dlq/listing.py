"""`dlq list`: the messages in groups."""

import argparse
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from reservation_worker.cli import terminal
from reservation_worker.cli.dlq.choosing import Selection
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.text import plural, short

_SAMPLES = 2
_AGES = {
    "under 5 min": 300.0,
    "5 to 60 min": 3_600.0,
    "1 to 6 h": 21_600.0,
    "6 to 24 h": 86_400.0,
    "1 to 7 d": 604_800.0,
}
_OLDEST = "over 7 d"


@dataclass(slots=True)
class Group:
    """Messages with the same reason, type and age. Copies share an entry of `sources`."""

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


def run(args: argparse.Namespace, desk: Desk) -> None:
    """Print them."""
    others: Counter[str] = Counter()
    found = groups(_own(desk, others), time.time())
    total = sum(group.count for group in found) + others.total()
    if args.json:
        shown = [group.as_dict() for group in found]
        desk.print_json(messages=total, groups=shown, other_queues=dict(others))
        return
    console = terminal.stdout()
    if found:
        terminal.print_table(console, table(found))
        _print_samples(console, found)
    print_others(console, others)
    terminal.print_text(console, f"{plural(total, 'message')} in {desk.dlq}")


def _own(desk: Desk, others: "Counter[str]") -> Iterator[Letter]:
    for letter in desk.letters():
        if (queue := letter.other_queue(desk.queues.source)) is not None:
            others[queue] += 1
        else:
            yield letter


def print_others(console: Console, others: "Counter[str]") -> None:
    """The messages that SQS moved from other queues, and how many each queue has."""
    if others:
        terminal.print_text(console, "Of other queues, which redrive, resolve and purge leave:")
        for name, count in others.most_common():
            terminal.print_text(console, f"{count:>5}  {short(name, 80)}", 2)


def print_chosen(console: Console, desk: Desk, chosen: Selection) -> None:
    """The chosen messages in groups, and how many are left."""
    letters = [letter for unit in chosen.units for letter in unit]
    if not chosen.read:
        terminal.print_text(console, f"{desk.dlq} is empty")
        return
    if letters:
        terminal.print_table(console, table(groups(letters, time.time())))
    print_others(console, chosen.others)
    if chosen.unknown:
        terminal.print_text(console, chosen.unknown_text)
    count = f"{len(letters)} of {plural(chosen.read, 'message')}"
    terminal.print_text(console, f"{count} chosen in {desk.dlq}")


def groups(letters: Iterable[Letter], now: float) -> list[Group]:
    """The largest first; `now` is in Unix seconds."""
    found: dict[tuple[str, str, str], Group] = {}
    for letter in letters:
        seconds = now - letter.since
        bucket = next((name for name, end in _AGES.items() if seconds < end), _OLDEST)
        key = (letter.reason, letter.type, bucket)
        found.setdefault(key, Group(*key)).add(letter, seconds)
    return sorted(found.values(), key=lambda group: (-group.count, group.reason, group.type))


def table(found: list[Group]) -> Table:
    """A row for each group."""
    shown = terminal.table()
    for name in ("count", "copies"):
        shown.add_column(name, justify="right")
    for name in ("reason", "type", "age"):
        shown.add_column(name, no_wrap=True)
    for group in found:
        copies = group.count - len(group.sources)
        shown.add_row(
            f"{group.count:,}",
            f"{copies:,}" if copies else "-",
            group.reason,
            group.type,
            group.age,
        )
    return shown


def _print_samples(console: Console, found: list[Group]) -> None:
    terminal.print_text(console, "Samples; `dlq show ID` has all of one:")
    for group in found:
        terminal.print_text(console, f"{group.reason}, {group.type}, {group.age}", 2)
        for sample in group.samples:
            ids = (short(one, 130) for one in (sample["id"], sample["reservation_id"]) if one)
            terminal.print_text(console, "  ".join(ids), 4)
            if error := sample["error"]:
                terminal.print_text(console, short(error, 120), 6)
