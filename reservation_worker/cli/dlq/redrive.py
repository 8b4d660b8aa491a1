"""`dlq redrive`: shows what each message would do now, asks, and moves them."""

import argparse
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from reservation_worker.cli import terminal
from reservation_worker.cli.dlq.choosing import Selection, choose
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.forecast import Fate, Forecast, forecast
from reservation_worker.cli.dlq.letters import Letter
from reservation_worker.cli.dlq.listing import print_others
from reservation_worker.cli.dlq.mover import Mover, Report
from reservation_worker.cli.dlq.states import ask
from reservation_worker.cli.text import first, plural
from reservation_worker.errors import OperationError


@dataclass(slots=True)
class Plan:
    """`units` are messages with their copies. `left_out` would release by quantity, and `not_meant`
    have another fate than --only asks for.

    `forgotten` counts the releases by quantity, moved or left out, that are older than
    INVENTORY_KEY_TTL.
    """

    units: list[list[Letter]] = field(default_factory=list)
    left_out: list[list[Letter]] = field(default_factory=list)
    not_meant: list[list[Letter]] = field(default_factory=list)
    forecasts: "Counter[Forecast]" = field(default_factory=Counter)
    forgotten: int = 0

    @property
    def copies(self) -> int:
        """How many copies are dropped."""
        return sum(len(unit) - 1 for unit in self.units)

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain JSON values."""
        return {
            "forecasts": [
                {"count": count, **asdict(one)} for one, count in self.forecasts.most_common()
            ],
            "to_move": len(self.units),
            "left_out_quantity_releases": len(self.left_out),
            "quantity_releases_beyond_key_ttl": self.forgotten,
            "left_out_by_only": len(self.not_meant),
        }


def run(args: argparse.Namespace, desk: Desk) -> None:
    """Move them. Raises OperationError if a message could not be moved."""
    desk.queues.known_source()
    console = terminal.stderr() if args.json else terminal.stdout()
    chosen = choose(args, desk)
    plan = make_plan(args, desk, chosen.units)
    _print_plan(console, args, plan, chosen)
    report = Report()
    if plan.units and not args.dry_run:
        desk.holds.release(desk.holds.ids() - {letter.id for unit in plan.units for letter in unit})
        report = _move(args, desk, plan, console)
    if args.json:
        desk.print_json(
            queue=desk.source,
            messages=chosen.read,
            dry_run=args.dry_run,
            **plan.as_dict(),
            **chosen.as_dict(),
            **asdict(report),
        )
    _check(report)


def _move(args: argparse.Namespace, desk: Desk, plan: Plan, console: Console) -> Report:
    total = len(plan.units)
    if not args.yes:
        question = f"To {desk.source}\nMove {plural(total, 'message')}?"
        desk.confirm(question, "nothing was moved")
    mover = Mover(desk.queues, desk.holds, desk.interrupt.pause, args.rate)
    with terminal.progress("moving", "moved", total) as bar:
        report = mover.move(plan.units, lambda moved: bar(completed=moved))
    head = "interrupted: " if desk.interrupt.came else ""
    copies = f", copies dropped: {report.copies_dropped}" if report.copies_dropped else ""
    console.print(f"{head}{report.moved} of {plural(total, 'message')} moved{copies}")
    return report


def make_plan(args: argparse.Namespace, desk: Desk, units: list[list[Letter]]) -> Plan:
    """Forecast each by its reservation's state now. Raises KeyboardInterrupt."""
    states = ask(args.settings, (unit[0].reservation_id for unit in units), desk.check)
    desk.check()
    plan = Plan()
    ttl = args.settings.inventory_key_ttl
    only = {Fate(one.replace("-", " ")) for one in args.only or Fate}
    for unit in units:
        predicted = forecast(unit[0].event, states.get(unit[0].reservation_id))
        plan.forecasts[predicted] += 1
        # A key that is never forgotten guards a quantity like seats.
        by_quantity = predicted.quantity_release and ttl > 0
        if predicted.fate not in only:
            plan.not_meant.append(unit)
        elif by_quantity and not args.include_quantity_releases:
            plan.left_out.append(unit)
        else:
            plan.units.append(unit)
        oldest = min(letter.since for letter in unit)
        plan.forgotten += by_quantity and predicted.fate in only and time.time() - oldest > ttl
    return plan


def _print_plan(console: Console, args: argparse.Namespace, plan: Plan, chosen: Selection) -> None:
    print_others(console, chosen.others)
    if chosen.unknown:
        terminal.print_text(console, chosen.unknown_text)
    if not chosen.units:
        read = plural(chosen.read, "message")
        console.print(f"nothing to move: the options choose none of {read}")
        return
    table = terminal.table("The present effect of each")
    table.add_column("count", justify="right")
    table.add_column("", no_wrap=True)
    table.add_column("by contract and present state")
    table.add_column("releases", no_wrap=True)
    for predicted, count in plan.forecasts.most_common():
        by = "by quantity" if predicted.quantity_release else ""
        table.add_row(f"{count:,}", predicted.fate, Text(predicted.text), by)
    terminal.print_table(console, table)
    for text in _remarks(args, plan):
        terminal.print_text(console, text)


def _remarks(args: argparse.Namespace, plan: Plan) -> list[str]:
    found = []
    if plan.not_meant:
        only = ", ".join(args.only)
        found.append(f"{plural(len(plan.not_meant), 'message')} left out by --only {only}")
    if plan.copies:
        found.append(f"copies that are dropped once the first is moved: {plan.copies}")
    if plan.left_out:
        found.append(
            f"{plural(len(plan.left_out), 'message')} left out: inventory-svc guards a release by"
            " quantity only by its idempotency key, which it may have forgotten"
            " (--include-quantity-releases)"
        )
    if plan.forgotten:
        ttl = args.settings.inventory_key_ttl
        found.append(
            f"WARNING: {plural(plan.forgotten, 'release')} by quantity dead-lettered more than"
            f" {ttl} s ago (INVENTORY_KEY_TTL). inventory-svc has forgotten their keys: if an"
            " earlier try freed the seats, a redrive frees them a second time. Check in"
            " inventory-svc first"
        )
    unknown = sum(n for predicted, n in plan.forecasts.items() if predicted.fate is Fate.UNKNOWN)
    if unknown:
        found.append(
            f"reservation-api could not be asked for {unknown}: check RESERVATION_API_BASE"
        )
    return found


def _check(report: Report) -> None:
    """Raises OperationError unless all went well."""
    problems = [f"{one}: not moved: {why}" for one, why in report.left.items()]
    problems += [
        f"{one}: moved, but still in the DLQ, too: delete it there ({why})"
        for one, why in report.moved_but_not_deleted.items()
    ]
    problems = first(problems)
    if report.error:
        problems.append(report.error)
    if problems:
        raise OperationError("\n  ".join(["not all went well:", *problems]))
