"""Checks run at once, and none stops another; how their results are shown."""

import json
import threading
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper

import pytest
from rich.console import Console

from reservation_worker.cli.doctor import runner
from reservation_worker.cli.doctor.result import (
    CheckResult,
    CheckStatus,
    as_json,
    failure,
    ok,
    show,
    unknown,
    warning,
)
from reservation_worker.cli.doctor.runner import Check
from reservation_worker.config.sources import Survey
from tests.unit.cli.doctor.settings import KNOWN


@pytest.fixture
def stuck() -> Iterator[Check]:
    release = threading.Event()

    def wait(known: object) -> list[CheckResult]:
        release.wait(30)
        return []

    yield Check("stuck", (), wait)
    release.set()


def examined(
    monkeypatch: pytest.MonkeyPatch, *checks: Check, limit: float = 30
) -> list[CheckResult]:
    monkeypatch.setattr(runner, "CHECKS", checks)
    return runner.run_checks(Survey({}, {}, KNOWN, []), [], limit)


def test_results_keep_the_order_of_the_checks_whichever_ends_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    second_ended = threading.Event()

    def first(known: object) -> list[CheckResult]:
        assert second_ended.wait(10)
        return [ok("first", "")]

    def second(known: object) -> list[CheckResult]:
        second_ended.set()
        return [ok("second", "")]

    rows = examined(monkeypatch, Check("first", (), first), Check("second", (), second))
    assert [row.check for row in rows] == ["configuration", "first", "second"]


def test_a_check_that_never_ends_is_unknown_and_delays_no_other(
    monkeypatch: pytest.MonkeyPatch, stuck: Check
) -> None:
    other = Check("other", (), lambda known: [ok("other", "fine")])
    _, late, fine = examined(monkeypatch, stuck, other, limit=0.3)
    assert (late.check, late.status) == ("stuck", CheckStatus.UNKNOWN)
    assert "no answer within 0.3 s" in late.detail
    assert fine == ok("other", "fine")


def test_an_error_in_a_check_is_unknown_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = Check("broken", (), lambda known: [CheckResult(**known["nothing"])])
    other = Check("other", (), lambda known: [ok("other", "fine")])
    _, failed, fine = examined(monkeypatch, broken, other)
    assert (failed.check, failed.status) == ("broken", CheckStatus.UNKNOWN)
    assert "KeyError" in failed.detail
    assert fine == ok("other", "fine")


def test_a_check_does_not_run_without_the_settings_that_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, row = examined(monkeypatch, Check("cpu", ("log_level",), lambda known: [ok("cpu", "")]))
    assert row == unknown("cpu", "not checked", "correct the configuration first: LOG_LEVEL")


def test_no_result_has_secrets_or_control_characters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    said = "hunter2hunter2 at http://me:pw@host/\x1b[2J\n"
    row = examined(monkeypatch, Check("x", (), lambda known: [failure("x", said, said)]))[1]
    assert row.detail == row.advice == "*** at http://***@host/\\x1b[2J"


def shown(encoding: str) -> str:
    out = TextIOWrapper(BytesIO(), encoding)
    rows = [
        ok("a", "fine"),
        warning("b", "[red]so", "look"),
        failure("c", "bad", "mend"),
        unknown("d", "?", "ask"),
    ]
    show(rows, Console(file=out, width=80))
    out.seek(0)
    return out.read()


def test_the_table_has_a_mark_and_advice_for_each_status() -> None:
    text = shown("utf-8")
    for row in ("✓   a", "!   b", "✗   c", "?   d", "→ look", "→ mend", "→ ask", "[red]so"):
        assert row in text
    assert "1 ✓ ok, 1 ! warning, 1 ✗ failure, 1 ? unknown" in text


def test_the_marks_are_words_where_the_terminal_lacks_the_characters() -> None:
    text = shown("ascii")
    assert text.isascii()
    assert "WRONG" in text
    assert "-> mend" in text


def test_the_table_shows_all_of_a_long_url() -> None:
    out = TextIOWrapper(BytesIO(), "utf-8")
    url = f"https://sqs.ap-northeast-2.amazonaws.com/137406935518/{'q' * 79}x"
    show([failure("KEDA", f"queueURL is {url}", "")], Console(file=out, width=80))
    out.seek(0)
    assert url in "".join(line[12:].strip() for line in out)


@pytest.mark.parametrize(
    ("rows", "ok"),
    [
        ([ok("a", ""), warning("b", "", ""), unknown("c", "", "")], True),
        ([failure("a", "", "")], False),
    ],
)
def test_json_has_whether_a_check_failed(rows: list[CheckResult], ok: bool) -> None:
    assert json.loads(as_json(rows))["ok"] is ok
