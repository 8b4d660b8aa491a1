"""The verbs' output: tables on stdout, progress on stderr."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

_WIDE = 1_000
"""More columns than any table has."""


def stdout() -> Console:
    """Where results go. Text of messages must be escaped (rich.markup.escape) or be a Text."""
    return Console(highlight=False)


def stderr() -> Console:
    """Where tables go if stdout is for machines; see `stdout`."""
    return Console(highlight=False, stderr=True)


def table(title: str | None = None, *, header: bool = True) -> Table:
    """An empty table in the style of all of them."""
    return Table(title=title, box=box.SIMPLE_HEAD, show_header=header, title_justify="left")


def print_table(console: Console, shown: Table) -> None:
    """Print it, on a narrow terminal wider than that: it never breaks inside a word."""
    wide = console.options.update(width=_WIDE)
    for column in shown.columns:
        if column.no_wrap:
            # rich takes the longest word of such a column for its minimum.
            cells = [Measurement.get(console, wide, cell).maximum for cell in column.cells]
            column.min_width = max(cells, default=0)
    least = Measurement.get(console, wide, shown).minimum
    if least > console.width:
        shown.width = least
    console.print(shown, crop=False)


def print_text(console: Console, text: str, indent: int = 0) -> None:
    """Print it indented: wrapped between words on a terminal, one line elsewhere."""
    lines = [Text(text)]
    if console.is_terminal:
        whole = Text(text, overflow="ignore")
        lines = [*whole.wrap(console, max(20, console.width - indent))]
    for line in lines:
        line.rstrip()
        console.print(Text(" " * indent).append_text(line), soft_wrap=True)


def marks(console: Console) -> tuple[str, str, str]:
    """Good, odd and wrong, in words where the terminal has no such characters."""
    return ("✓", "!", "✗") if console.encoding.startswith("utf") else ("ok", "!", "WRONG")


@contextmanager
def progress(doing: str, done: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """A bar on a terminal, nothing elsewhere; `done` names the things that are counted.

    Yields its update, which takes `advance`, `completed`, `total` and `description`.
    """
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(done),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        yield partial(bar.update, bar.add_task(doing, total=total))
