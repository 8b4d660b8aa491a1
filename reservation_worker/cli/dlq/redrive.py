"""`dlq redrive`: says what each message would do now, asks, and moves them."""

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reservation_worker.cli import terminal
from reservation_worker.cli.dlq import selection
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.forecast import Fate, Forecast, forecast
from reservation_worker.cli.dlq.letters import Letter, by_origin
from reservation_worker.cli.dlq.mover import Mover, Report
from reservation_worker.cli.dlq.states import ask
from reservation_worker.cli.dlq.text import plural
from reservation_worker.errors import OperationError
from reservation_worker.sqs.batches import size

_MOST_BYTES = 512 * 1024 * 1024
"""So much is held in memory; what comes after it waits for the next redrive."""
_NAMED = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """`units` are messages with their copies; `left_out` would release by quantity."""

    units: list[list[Letter]]
    left_out: list[list[Letter]]
    forecasts: "Counter[Forecast]"

    @property
    def copies(self) -> int:
        """How many copies are dropped."""
        return sum(len(unit) - 1 for unit in self.units)


def run(args: argparse.Namespace, desk: Desk) -> int:
    """Move them. Raises OperationError when not all that was to move has moved."""
    console = terminal.stdout()
    units = by_origin(_within_memory(desk))
    chosen = [unit for unit in units if any(selection.matches(args, one) for one in unit)]
    if not chosen:
        console.print(f"nothing to move: none of {plural(len(units), 'message')} is meant")
        return 0
    plan = make_plan(args, desk, chosen)
    _show(console, plan)
    if args.dry_run or not plan.units:
        return 0
    wanted = {letter.id for unit in plan.units for letter in unit}
    desk.holds.release(desk.holds.ids() - wanted)
    if not args.yes:
        question = f"Move {plural(len(plan.units), 'message')} to {desk.source}? [y/N]"
        if desk.answer(question).lower() not in ("y", "yes"):
            raise OperationError("not confirmed: nothing was moved")
    with terminal.progress("moved") as bar:
        task = bar.add_task("moving", total=len(plan.units))
        report = Mover(desk.queues, desk.holds, desk.interrupt.pause, args.rate).move(
            plan.units, lambda moved: bar.update(task, completed=moved)
        )
    return _verdict(console, report, len(plan.units), desk.interrupt.came)


def make_plan(args: argparse.Namespace, desk: Desk, units: list[list[Letter]]) -> Plan:
    """Ask reservation-api about each and judge. Raises KeyboardInterrupt."""
    ids = [unit[0].reservation_id for unit in units]
    known = list(dict.fromkeys(one for one in ids if one is not None))
    with terminal.progress("asked") as bar:
        task = bar.add_task("asking reservation-api", total=len(known))
        states = ask(
            args.settings,
            known,
            desk.check,
            lambda: bar.advance(task),
        )
    desk.check()
    plan = Plan([], [], Counter())
    for unit, one in zip(units, ids, strict=True):
        told = forecast(unit[0].event, states[one] if one is not None else None)
        out = told.quantity_release and not args.include_quantity_releases
        (plan.left_out if out else plan.units).append(unit)
        plan.forecasts[told] += 1
    return plan


def _within_memory(desk: Desk) -> Iterator[Letter]:
    held = 0
    for letter in desk.letters():
        held += size(letter.body, letter.attributes)
        if held > _MOST_BYTES:
            desk.partial.append(f"over {_MOST_BYTES >> 20} MiB of messages: redrive again")
            return
        yield letter


def _show(console: Console, plan: Plan) -> None:
    table = Table(title="What they would do now", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("count", justify="right")
    for name in ("", "by contract and present state", "releases"):
        table.add_column(name)
    for told, count in plan.forecasts.most_common():
        by = "by quantity" if told.quantity_release else ""
        table.add_row(str(count), told.fate, Text(told.text), by)
    console.print(table)
    if plan.copies:
        console.print(f"copies that are dropped once the first is moved: {plan.copies}")
    if plan.left_out:
        console.print(
            f"{plural(len(plan.left_out), 'message')} left out: inventory-svc guards a release by"
            " quantity only by its idempotency key, which it may have forgotten"
            " (--include-quantity-releases)",
            soft_wrap=True,
        )
    unknown = sum(n for told, n in plan.forecasts.items() if told.fate is Fate.UNKNOWN)
    if unknown:
        console.print(
            f"reservation-api could not be asked for {unknown}: check RESERVATION_API_BASE",
            soft_wrap=True,
        )


def _verdict(console: Console, report: Report, total: int, interrupted: bool) -> int:
    """Say how it went, and the exit code."""
    head = "interrupted: " if interrupted else ""
    copies = f", copies dropped: {report.copies}" if report.copies else ""
    console.print(f"{head}{report.moved} of {plural(total, 'message')} moved{copies}")
    problems = [f"{one}: not moved: {why}" for one, why in report.left.items()]
    problems += [
        f"{one}: moved, but still in the DLQ, too: delete it there ({why})"
        for one, why in report.undeleted.items()
    ]
    if len(problems) > _NAMED:
        problems[_NAMED:] = [f"and {len(problems) - _NAMED} more"]
    if report.error:
        problems.append(report.error)
    if problems:
        raise OperationError("not all went well:\n  " + "\n  ".join(problems))
    return 130 if interrupted else 0
