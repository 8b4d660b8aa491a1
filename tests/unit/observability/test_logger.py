"""The log: one JSON object a line, whatever the fields hold, and never a reason to fail."""

import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from loguru import logger

from reservation_worker.observability.logger import configure


class Log(io.StringIO):
    @property
    def lines(self) -> list[dict[str, Any]]:
        """Each line as the object it holds."""
        text = self.getvalue()
        assert not text or text.endswith("\n")
        return [json.loads(line) for line in text.split("\n")[:-1]]

    @property
    def line(self) -> dict[str, Any]:
        [line] = self.lines
        return line


@pytest.fixture
def make_log() -> Iterator[Callable[..., Log]]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def make(level: str = "info", stream: Log | None = None) -> Log:
        stream = stream or Log()
        configure(level, "pod-1", stream.write)
        return stream

    yield make
    root.handlers[:], root.level = handlers, level
    logger.remove()
    logger.add(sys.stderr)


@pytest.fixture
def log(make_log: Callable[..., Log]) -> Log:
    return make_log()


def test_a_line_has_time_level_message_pod_and_the_bound_fields(log: Log) -> None:
    logger.bind(event_type="payment.approved", attempt=2, reservation_id=None).info("settled")
    assert {
        "level": "info",
        "msg": "settled",
        "pod_name": "pod-1",
        "event_type": "payment.approved",
        "attempt": 2,
        "reservation_id": None,
    }.items() <= log.line.items()
    written = datetime.fromisoformat(log.line["ts"])
    assert written.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["debug", "info", "warn", "error"]),
        ("info", ["info", "warn", "error"]),
        ("warn", ["warn", "error"]),
        ("error", ["error"]),
    ],
)
def test_lines_below_the_level_are_not_shown(
    make_log: Callable[..., Log], level: str, shown: list[str]
) -> None:
    log = make_log(level)
    for method in (logger.debug, logger.info, logger.warning, logger.error):
        method("x")
    assert [line["level"] for line in log.lines] == shown


NASTY = [
    "two\nlines",
    "\r\n",
    '{"level": "error", "msg": "fake"}\n{"msg": "line"}',
    "\x1b[31mred\x1b[0m",
    "line\u2028separator\u2029",
    "next\x85line",
    'quotes " and \\ backslashes',
    "braces {} {x} {0}",
    "<red>markup</red>",
    "%s %(x)d",
    "nul\x00",
    "lone \ud800 surrogate",
    "자리 🌮",
    "",
]


@pytest.mark.parametrize("text", NASTY)
def test_a_field_can_neither_break_nor_fake_a_line(log: Log, text: str) -> None:
    logger.bind(reservation_id=text).info("{}", text)
    assert (log.line["msg"], log.line["reservation_id"]) == (text, text)
    written = log.getvalue()
    assert written.isascii()
    assert written.removesuffix("\n").isprintable()


@pytest.mark.parametrize("text", NASTY)
def test_a_message_without_arguments_is_logged_as_it_is(log: Log, text: str) -> None:
    logger.info(text)
    assert log.line["msg"] == text


@pytest.mark.parametrize("value", [object(), b"\xff", {1, 2}, ValueError("x"), ("a", None), 1.5])
def test_a_field_of_any_type_is_shown_somehow(log: Log, value: object) -> None:
    logger.bind(value=value).info("x")
    assert log.line["value"] is not None


def explode() -> None:
    secret = "hunter" + str(2)
    raise ValueError(f"no password\nof {len(secret)}")


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("plain-secret", "got plain-secret", "got ***"),
        ('with"quote', 'got with"quote', "got ***"),
        ("back\\slash", "got back\\slash", "got ***"),
        ("pässwörd", "got pässwörd", "got ***"),
        ("other-secret", "http://u:p@host/", "http://***@host/"),
        ("other-secret", "Authorization: Bearer abc", "Authorization: ***"),
    ],
)
@pytest.mark.parametrize("field", ["msg", "first", "last", "listed"])
def test_a_secret_is_hidden_in_every_field_that_consists_of_it(
    make_log: Callable[..., Log],
    monkeypatch: pytest.MonkeyPatch,
    secret: str,
    text: str,
    shown: str,
    field: str,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    log = make_log()
    fields = {"first": "a", "number": 1, "last": "b", field: text}
    message = fields.pop("msg", "settled")
    if field == "listed":
        fields["listed"] = [text]
    logger.bind(**fields).info("{}", message)
    others = {"msg": "settled", "first": "a", "number": 1, "last": "b"}
    expected = {**others, field: [shown] if field == "listed" else shown}
    assert {name: log.line[name] for name in expected} == expected


@pytest.mark.parametrize("length", [900, 1_000, 1_001, 5_000])
def test_a_field_is_cut_beyond_its_longest_length_whatever_the_others_hold(
    log: Log, length: int
) -> None:
    logger.bind(short="s", long="x" * length).info("settled")
    assert log.line["short"] == "s"
    assert (log.line["long"] == "x" * length) is (length <= 1_000)
    assert len(log.line["long"]) < 1_100


def test_a_traceback_stays_inside_its_line(log: Log) -> None:
    try:
        explode()
    except ValueError:
        logger.exception("it failed")
    line = log.line
    assert (line["level"], line["msg"]) == ("error", "it failed")
    assert line["error"] == "ValueError('no password\\nof 7')"
    assert line["traceback"].startswith("Traceback (most recent call last):\n")
    assert "in explode\n" in line["traceback"]
    assert line["traceback"].rstrip().endswith("ValueError: no password\nof 7")


def test_a_traceback_shows_no_values_of_variables(log: Log) -> None:
    try:
        explode()
    except ValueError:
        logger.exception("it failed")
        logging.getLogger("library").exception("it failed too")
    assert "hunter2" not in log.getvalue()
    assert len(log.lines) == 2


def test_the_lines_of_many_threads_do_not_mix(log: Log) -> None:
    def write(number: int) -> None:
        for _ in range(50):
            logger.bind(number=number).info("x" * 200)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.lines) == 400


# The standard library's logging.


def test_the_warnings_of_libraries_are_logged_and_lower_levels_are_not(log: Log) -> None:
    library = logging.getLogger("botocore.retries")
    library.debug("x")
    library.info("x")
    library.warning("retry %d of %s", 2, "{a call}")
    library.error("gave up")
    assert [(line["level"], line["msg"], line["logger"]) for line in log.lines] == [
        ("warn", "retry 2 of {a call}", "botocore.retries"),
        ("error", "gave up", "botocore.retries"),
    ]


def test_a_librarys_traceback_stays_inside_its_line(log: Log) -> None:
    try:
        explode()
    except ValueError:
        logging.getLogger("library").warning("it failed", exc_info=True)
    assert "in explode\n" in log.line["traceback"]


def test_a_library_that_logs_wrongly_does_not_fail_because_of_it(
    make_log: Callable[..., Log],
) -> None:
    log = make_log()  # not before the test: pytest's own handler would complain
    logging.getLogger("library").warning("%d tries", "three")
    assert log.line["msg"] == "%d tries"
