"""The token in a file that another process replaces."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from reservation_worker.config.redaction import HIDDEN, Redactor
from reservation_worker.config.sources import survey
from reservation_worker.config.token import LONGEST, TokenFile
from reservation_worker.errors import ConfigurationError

FIRST, SECOND = "eyJhbGciOiJSUzI1NiJ9.first.aaaa", "eyJhbGciOiJSUzI1NiJ9.second.bbbb"
QUEUE = "https://sqs.ap-northeast-2.amazonaws.com/123456789012/events"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{FIRST}\n")
    return file


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    number = logger.add(lambda message: lines.append(message.record["message"]))
    yield lines
    logger.remove(number)


@pytest.mark.parametrize("around", ["{}", "{}\n", "{}\r\n", "\n {} \n\n"])
def test_the_white_space_around_a_token_is_stripped(path: Path, around: str) -> None:
    path.write_bytes(around.format(FIRST).encode())
    assert TokenFile(str(path)).current() == FIRST


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is empty"),
        (b" \r\n", "it is empty"),
        (b"abcdef\r\nX-Injected: 1", "characters"),
        (b"abc def", "characters"),
        (b"abc\x00def", "characters"),
        ("토큰".encode(), "characters"),
        (b"x" * (LONGEST + 1), "longer"),
        (None, "No such file"),
    ],
)
def test_a_file_without_a_token_is_refused_at_start_by_name(
    path: Path, content: bytes | None, why: str
) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=why) as caught:
        survey(
            {"SQS_QUEUE_URL": QUEUE, "RESERVATION_API_TOKEN_FILE": str(path)}, path.parent
        ).settings()
    [problem] = caught.value.problems
    assert str(path) in problem
    assert "abc" not in problem


def test_valid_settings_are_available_although_the_token_is_missing(path: Path) -> None:
    missing = str(path) + ".missing"
    found = survey({"SQS_QUEUE_URL": QUEUE, "RESERVATION_API_TOKEN_FILE": missing}, path.parent)
    assert "reservation_api_token_file" not in found.known
    assert found.known["sqs_queue_url"] == QUEUE


def test_a_directory_is_refused_as_a_token_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Is a directory"):
        TokenFile(str(tmp_path))


def test_the_token_is_read_again_when_the_file_is_written(path: Path) -> None:
    token = TokenFile(str(path))
    path.write_text(SECOND)
    assert token.current() == SECOND


def test_the_token_is_read_again_when_kubernetes_swaps_its_link(tmp_path: Path) -> None:
    for name, content in (("..1", FIRST), ("..2", SECOND)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(content)
        os.utime(tmp_path / name / "token", (1, 1))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "token").symlink_to("..data/token")
    token = TokenFile(str(tmp_path / "token"))
    assert token.current() == FIRST
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    assert token.current() == SECOND


def test_after_a_refusal_the_file_is_read_although_it_looks_the_same(path: Path) -> None:
    token = TokenFile(str(path))
    same = path.stat()
    other = FIRST[:-1] + "z"
    path.write_text(f"{other}\n")
    os.utime(path, ns=(same.st_atime_ns, same.st_mtime_ns))
    assert token.current() == FIRST
    assert token.current(refused=True) == other


@pytest.mark.parametrize("content", [None, b"", b"a\nb: c"])
def test_a_file_that_becomes_unreadable_keeps_the_last_token_and_is_logged_once(
    path: Path, log: list[str], content: bytes | None
) -> None:
    token = TokenFile(str(path))
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    assert [token.current(), token.current(refused=True), token.current()] == [FIRST] * 3
    assert len(log) == 1
    assert str(path) in log[0]
    path.write_text(SECOND)
    assert token.current() == SECOND
    path.unlink()
    assert token.current() == SECOND
    assert len(log) == 2


def test_every_token_that_was_read_is_hidden_by_redactors_made_before(path: Path) -> None:
    redact = Redactor({})
    token = TokenFile(str(path))
    path.write_text(SECOND)
    token.current()
    assert redact(f"x{FIRST}y and {SECOND!r}") == f"x{HIDDEN} and '{HIDDEN}'"


def test_a_token_that_was_cut_short_is_hidden_too(path: Path) -> None:
    TokenFile(str(path))
    assert Redactor({})(f"sent {FIRST[:20]}... to it") == f"sent {HIDDEN} to it"
