"""What a dead letter carries: all that the producer sent, and why it is dead."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from reservation_worker.outcome import DeadLetterReason, Reject
from reservation_worker.pipeline.deadletter import attributes_of
from reservation_worker.sqs.queue import Message
from tests.fake_queue import FakeQueue

OURS = ["dlq_reason", "dlq_source_message_id", "dlq_error", "dlq_attempts", "dlq_time"]
NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
# The characters that SQS allows in a message, by its documentation.
ALLOWED = re.compile("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")


def text(value: str) -> dict[str, Any]:
    return {"DataType": "String", "StringValue": value}


def producers(count: int) -> dict[str, dict[str, Any]]:
    return {f"a{number}": text("x") for number in range(count)}


def attributes(
    *,
    error: str = "no seats",
    body: str = "{}",
    kept: dict[str, dict[str, Any]] | None = None,
    reason: DeadLetterReason = DeadLetterReason.PERMANENT_ERROR,
) -> dict[str, Any]:
    """The dead letter's attributes, after SQS's own limits have been checked."""
    message = Message("m1", "m1#3", body, kept or {}, receive_count=3)
    made = attributes_of(message, Reject(reason, error), NOW.timestamp)
    FakeQueue().dead_letter(body, made, None)
    return made


def test_a_dead_letter_has_reason_error_attempts_time_and_source_message() -> None:
    made = attributes()
    assert {name: value["StringValue"] for name, value in made.items()} == {
        "dlq_reason": "permanent_error",
        "dlq_error": "no seats",
        "dlq_attempts": "3",
        "dlq_source_message_id": "m1",
        "dlq_time": "2026-01-02T03:04:05.678+00:00",
    }
    assert made["dlq_attempts"]["DataType"] == "Number"


@pytest.mark.parametrize(
    "reason",
    ["invalid_payload", "permanent_error", "retries_exhausted", "compensation_required"],
)
def test_the_reason_is_one_of_four(reason: str) -> None:
    assert attributes(reason=DeadLetterReason(reason))["dlq_reason"] == text(reason)
    assert len(DeadLetterReason) == 4


def test_the_producers_attributes_are_kept_whatever_their_type() -> None:
    kept = {
        "TraceId": text("abc"),
        "price": {"DataType": "Number.float", "StringValue": "1.5"},
        "blob": {"DataType": "Binary.png", "BinaryValue": b"\x00\xff"},
    }
    made = attributes(kept=kept)
    assert {name: made[name] for name in kept} == kept
    assert set(made) == {*kept, *OURS}


def test_the_marks_of_an_earlier_death_give_way_to_the_present_one() -> None:
    made = attributes(kept={"dlq_reason": text("invalid_payload"), "dlq_note": text("redriven")})
    assert made["dlq_reason"] == text("permanent_error")
    assert "dlq_note" not in made


@pytest.mark.parametrize("count", range(11))
def test_where_ten_attributes_are_not_enough_ours_give_way_and_the_reason_last(
    count: int,
) -> None:
    made = attributes(kept=producers(count))
    assert list(made) == [*producers(count), *OURS[: 10 - count]]


@pytest.mark.parametrize(
    "error",
    [
        "a\x00b\x1fc",
        "lone \ud800 surrogate",
        "\ufffe\uffff",
        "line\r\n\tbreak",
        "🌮",
        "x" * 5_000,
        "🌮" * 5_000,
        "\x00" * 5_000,
    ],
)
def test_the_error_is_cut_and_holds_only_characters_that_sqs_allows(error: str) -> None:
    text = attributes(error=error)["dlq_error"]["StringValue"]
    assert 1 <= len(text) <= 512
    assert ALLOWED.fullmatch(text)


@pytest.mark.parametrize("error", ["", " ", "\n\t ", " " * 5_000])
def test_the_error_is_never_empty(error: str) -> None:
    assert attributes(error=error)["dlq_error"]["StringValue"].strip()


def test_allowed_characters_are_kept() -> None:
    assert attributes(error="자리 없음 🌮")["dlq_error"] == text("자리 없음 🌮")
