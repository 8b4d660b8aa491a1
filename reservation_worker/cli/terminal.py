"""What the verbs print with: tables on stdout, progress on stderr."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


def stdout() -> Console:
    """Where results go. Text of messages must be escaped (rich.markup.escape) or be a Text."""
    return Console(highlight=False)


def marks(console: Console) -> tuple[str, str, str]:
    """Good, odd and wrong, in words where the terminal has no such characters."""
    return ("✓", "!", "✗") if console.encoding.startswith("utf") else ("ok", "!", "WRONG")


def progress(done: str) -> Progress:
    """A bar on a terminal, nothing elsewhere; `done` names what is counted."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(done),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
