"""The demo's output: a progress bar on stderr while it runs, tables on stdout at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reservation_worker.cli import terminal
from reservation_worker.cli.outcomes_view import outcomes
from reservation_worker.simulator.play import OUTAGE_SECONDS, Result
from reservation_worker.simulator.play import Progress as Step

_SHOWN = 5
"""The number of defects of each kind that are printed."""


@contextmanager
def progress(quiet: bool) -> Iterator[Callable[[Step], None]]:
    """Shows steps: a bar on a terminal; elsewhere a line for each new stage, none if `quiet`."""
    console = Console(stderr=True)
    stage = ""
    with terminal.progress("starting", "settled") as bar:

        def update(step: Step) -> None:
            nonlocal stage
            bar(description=step.stage, completed=step.settled, total=step.total)
            if step.stage != stage and not quiet and not console.is_terminal:
                console.print(f"{step.settled:>6} of {step.total} settled: {step.stage}")
            stage = step.stage

        yield update


def show(result: Result, console: Console | None = None) -> None:
    """Print the tables."""
    console = console or terminal.stdout()
    console.print()
    console.print(outcomes(result.metrics))
    console.print(_figures(result))
    good, _, bad = terminal.marks(console)
    console.print(_reconciliation(result, (good, bad)))
    for name, sentences in result.report.defects.items():
        for sentence in sentences[:_SHOWN]:
            console.print(Text(f"  {name}: {sentence}", "red"), soft_wrap=True)
        if len(sentences) > _SHOWN:
            console.print(Text(f"  {name}: and {len(sentences) - _SHOWN} more", "red"))
    conclusion = "Everything reconciles." if result.report.ok else "It does not reconcile."
    if result.worker_exit_code:
        conclusion += " The worker did not stop cleanly."
    console.print(Text(conclusion, "bold green" if result.ok else "bold red"))


def _figures(result: Result) -> Table:
    table = terminal.table("The run", header=False)
    rate, outage = result.events / result.seconds, f"{OUTAGE_SECONDS:g} s of inventory outage"
    table.add_row("neighbours", "as today" if result.character == "today" else "by the contract")
    table.add_row("events", f"{result.events} in {result.seconds:.1f} s, with {outage}")
    table.add_row("throughput", f"{rate:.0f}/s; {result.best_second:.0f} in the best second")
    table.add_row("retries", str(result.metrics.retries()))
    reasons = result.report.dead_letters_by_reason
    listed = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    table.add_row("dead letters", listed or "none")
    if result.worker_exit_code is not None:
        table.add_row("worker's exit code", str(result.worker_exit_code))
    return table


def _reconciliation(result: Result, marks: tuple[str, str]) -> Table:
    report = result.report
    table = terminal.table("Reconciliation", header=False)
    rows = {
        "seats oversold": report.oversold,
        "seats leaked": report.leaked,
        "events lost": report.lost,
        "effects doubled": report.doubled,
        "inventory moved too early": report.premature,
        "unexpected dead letters": report.unexpected_dead_letters,
    }
    for name, sentences in rows.items():
        table.add_row(name, _marked(str(len(sentences)), not sentences, marks))
    due, found = report.compensations_due, report.compensations_found
    text = f"{len(due)} (found {len(found)})"
    table.add_row("compensations due", _marked(text, due == found, marks))
    if report.releases_to_check:
        table.add_row("releases for a person to check", str(len(report.releases_to_check)))
    return table


def _marked(text: str, good: bool, marks: tuple[str, str]) -> Text:
    good_mark, bad_mark = marks
    return Text(f"{text} {good_mark if good else bad_mark}", "green" if good else "bold red")
