"""What the verbs print fits a terminal: nothing is broken inside a word."""

import io

import pytest
from rich import box
from rich.console import Console
from rich.table import Table

from reservation_worker.cli import terminal
from reservation_worker.cli.doctor.result import failure, show

URL = "https://sqs.ap-northeast-2.amazonaws.com/137406935518/traffic-tacos-reservation-events-dlq"
ID = "8dc46fe0-fa9c-469a-9623-2b0ddc768067"


def console(width: int, on_a_terminal: bool = True) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=on_a_terminal, color_system=None)


def printed(made: Console) -> list[str]:
    assert isinstance(made.file, io.StringIO)
    return [line.rstrip() for line in made.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_a_line_is_wrapped_between_words_alone(width: int) -> None:
    made = console(width)
    text = f"{ID}  rsv_1  could not release: {URL} does not answer after ten seconds"
    terminal.print_text(made, text, 4)
    assert " ".join(" ".join(printed(made)).split()) == " ".join(text.split())
    assert all(line.startswith("    ") for line in printed(made))
    longest = max(map(len, (ID, URL)))
    assert all(len(line) <= max(width, longest + 4) for line in printed(made))


def test_a_pipe_gets_whole_lines() -> None:
    made = console(80, on_a_terminal=False)
    terminal.print_text(made, f"{ID} {URL}", 2)
    assert printed(made) == [f"  {ID} {URL}"]


@pytest.mark.parametrize("width", [20, 40, 80])
def test_a_table_breaks_no_cell_inside_a_word(width: int) -> None:
    made = console(width)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("id", no_wrap=True)
    table.add_column("text")
    table.add_row(
        ID, "paid, but the reservation was confirmed by another payment pay_0123456789abcdef"
    )
    terminal.print_table(made, table)
    words = " ".join(printed(made)).split()
    assert ID in words
    assert "pay_0123456789abcdef" in words


def test_a_url_in_doctor_s_table_is_not_broken_on_a_narrow_terminal() -> None:
    made = console(80)
    show([failure("KEDA reservation-worker-scaler", f"queueURL is {URL}", "set both")], made)
    assert any(URL in line for line in printed(made))
