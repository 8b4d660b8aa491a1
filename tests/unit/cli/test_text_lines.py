"""The log at a terminal: a line of text for each JSON line, and no control character in it."""

import json
import os
from datetime import UTC, datetime
from typing import Any

import pytest

from reservation_worker.cli.run.text_lines import lines_for, text_line

AT = datetime(2026, 11, 29, 9, 0, 1, tzinfo=UTC)
HERE = f"{AT.astimezone():%H:%M:%S %Z}"


def line(**fields: Any) -> str:
    head = {"ts": AT.isoformat(timespec="milliseconds"), "level": "info", "msg": "settled"}
    return json.dumps(head | {"pod_name": "w", "thread": "worker_0"} | fields) + "\n"


def test_a_line_has_time_with_zone_level_message_and_its_fields() -> None:
    given = line(event_type="payment.approved", error=None, attempt=2, note="two words")
    assert text_line(given) == (
        f'{HERE} info  settled event_type=payment.approved attempt=2 note="two words"\n'
    )


def test_a_traceback_and_a_stack_are_on_lines_of_their_own() -> None:
    given = line(level="error", traceback="Traceback:\n  boom\n", stack=["a.py:1 f"])
    assert text_line(given) == (f"{HERE} error settled\n    Traceback:\n      boom\n    a.py:1 f\n")


@pytest.mark.parametrize("field", ["msg", "error", "traceback", "name"])
@pytest.mark.parametrize("hostile", ["\x1b[2Jx", "\x9b2J", "a\rb", "\u202eabc"])
def test_no_control_character_reaches_the_terminal(field: str, hostile: str) -> None:
    text = text_line(line(**{field: hostile}))
    assert all(c.isprintable() or c == "\n" for c in text)


def test_only_the_level_is_coloured_and_only_if_it_is_a_warning_or_an_error() -> None:
    assert text_line(line(level="warn"), color=True) == f"{HERE} \x1b[33mwarn \x1b[0m settled\n"
    assert text_line(line(), color=True) == text_line(line())


@pytest.mark.parametrize(
    ("log_format", "terminal", "text"),
    [
        (None, True, True),
        (None, False, False),
        ("json", True, False),
        ("text", False, True),
    ],
)
def test_text_is_for_a_terminal_unless_log_format_is_set(
    monkeypatch: pytest.MonkeyPatch, log_format: str | None, terminal: bool, text: bool
) -> None:
    monkeypatch.setattr(os, "isatty", lambda fd: terminal)
    written: list[str] = []
    lines_for(log_format, 1, written.append)(line())
    assert written == [text_line(line()) if text else line()]


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setattr(os, "isatty", lambda fd: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    written: list[str] = []
    lines_for(None, 1, written.append)(line(level="warn"))
    monkeypatch.setenv(name, value)
    lines_for(None, 1, written.append)(line(level="warn"))
    assert ["\x1b" in one for one in written] == [True, False]
