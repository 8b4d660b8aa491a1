"""Dead letters: read, grouped, chosen, shown, listed for refunds, exported and imported."""

import argparse
import base64
import json
from typing import Any

import pytest

from reservation_worker.cli.dlq import add_arguments, imports
from reservation_worker.cli.dlq.compensations import due
from reservation_worker.cli.dlq.exports import as_dict
from reservation_worker.cli.dlq.forecast import Fate
from reservation_worker.cli.dlq.letters import Letter, by_origin
from reservation_worker.cli.dlq.listing import groups
from reservation_worker.cli.dlq.selection import FATES, matches
from reservation_worker.cli.dlq.show import body_text, lines
from reservation_worker.cli.text import cell, short, visible
from reservation_worker.errors import OperationError

NOW = 1_800_000_000.0
HOUR = 3_600


def body(type_: str = "payment.approved", rid: str = "rsv_1", **detail: Any) -> str:
    return json.dumps({"type": type_, "detail": {"reservation_id": rid, **detail}})


def letter(
    id_: str = "m1", text: str | None = None, age: float = 0, trace: str | None = None, **ours: str
) -> Letter:
    raw: dict[str, Any] = {
        "MessageId": id_,
        "Body": body() if text is None else text,
        "Attributes": {"SentTimestamp": str(int((NOW - age) * 1000))},
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in ours.items()
        },
    }
    if trace:
        raw["Attributes"]["AWSTraceHeader"] = trace
    return Letter.of(raw)


# Reading


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "sqs_redrive"),
        ({"dlq_reason": "compensation_required"}, "compensation_required"),
        ({"dlq_reason": "somebody else's"}, "other"),
    ],
)
def test_each_message_has_one_of_few_reasons(given: dict[str, str], reason: str) -> None:
    assert letter(**given).reason == reason


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        (body("ReservationExpired"), "reservation.expired"),
        (
            body("Payment Status Updated", status="PAYMENT_STATUS_PENDING"),
            "nothing_to_do",
        ),
        ("{", "invalid"),
    ],
)
def test_each_message_has_one_of_few_types(text: str, type_: str) -> None:
    assert letter(text=text).type == type_


@pytest.mark.parametrize(
    ("dlq_time", "since"),
    [
        ("2027-01-15T07:00:00.000+00:00", NOW - HOUR),
        ("2027-01-15T07:00:00", NOW - HOUR),
        ("soon", NOW),
        ("0001-01-01T00:00:00+14:00", NOW),
        ("9999-12-31T23:59:59-14:00", NOW),
    ],
)
def test_a_message_is_as_old_as_its_dead_lettering_if_that_is_a_time(
    dlq_time: str, since: float
) -> None:
    assert letter(dlq_time=dlq_time).since == since


def test_copies_share_the_source_id_and_the_body() -> None:
    found = by_origin(
        [
            letter("a", dlq_source_message_id="s"),
            letter("b", dlq_source_message_id="s"),
            letter("c", body(rid="rsv_2"), dlq_source_message_id="s"),
            letter("s"),  # moved by SQS itself, which keeps the id
            letter("d"),
        ]
    )
    assert [[one.id for one in copies] for copies in found] == [["a", "b", "s"], ["c"], ["d"]]


# Grouping and choosing


def test_groups_have_counts_copies_and_samples_and_the_largest_comes_first() -> None:
    failed = body("payment.failed")
    old = [letter(f"o{n}", failed, age=2 * HOUR, dlq_source_message_id="s") for n in range(3)]
    new = letter("n", failed, age=10, dlq_error="it broke")
    first, second = groups([new, *old], NOW)
    assert first.as_dict() == {
        "reason": "sqs_redrive",
        "type": "payment.failed",
        "age": "1 to 6 h",
        "count": 3,
        "copies": 2,
        "oldest_seconds": 2 * HOUR,
        "samples": [{"id": "o0", "reservation_id": "rsv_1", "error": None}],
    }
    assert (second.age, second.count) == ("under 5 min", 1)
    assert second.samples[0]["error"] == "it broke"


def test_a_group_of_ten_thousand_keeps_two_samples() -> None:
    (group,) = groups((letter(f"m{n}") for n in range(10_000)), NOW)
    assert (group.count, len(group.samples)) == (10_000, 2)


def test_a_forecast_can_be_chosen_by_each_of_its_names() -> None:
    assert {name.replace("-", " ") for name in FATES} == set(Fate)


def options(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(["redrive", *given])


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ([], {"a", "b", "c"}),
        (["--reason", "sqs_redrive"], {"c"}),
        (["--reason", "sqs_redrive", "--reason", "retries_exhausted"], {"a", "b", "c"}),
        (["--type", "payment.failed"], {"b"}),
        (["--reason", "sqs_redrive", "--type", "payment.failed"], set()),
        (["--id", "a", "--id", "source-b"], {"a", "b"}),
        (["--older-than", "1h"], {"b", "c"}),
        (["--newer-than", "3h"], {"a", "b"}),
        (["--older-than", "60m", "--newer-than", "3h"], {"b"}),
    ],
)
def test_options_of_one_name_add_up_and_of_different_names_narrow(
    given: list[str], meant: set[str]
) -> None:
    exhausted = {"dlq_reason": "retries_exhausted"}
    letters = [
        letter("a", age=60, **exhausted),
        letter(
            "b", body("payment.failed"), 2 * HOUR, dlq_source_message_id="source-b", **exhausted
        ),
        letter("c", age=26 * HOUR),
    ]
    assert {one.id for one in letters if matches(options(*given), one, NOW)} == meant


@pytest.mark.parametrize(
    "given", [["--older-than", "5"], ["--type", "payment"], ["--rate", "0"], ["--reason", "x"]]
)
def test_a_typing_mistake_is_wrong_usage(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        options(*given)
    assert given[0] in capsys.readouterr().err


# Showing


def test_a_body_is_indented_and_nothing_in_it_acts_on_the_terminal() -> None:
    shown = body_text('{"a": "\\u001b[2J\\u202e", "b": [1]}')
    assert shown == '{\n  "a": "\\u001b[2J\\u202e",\n  "b": [\n    1\n  ]\n}'


@pytest.mark.parametrize("text", ["no json", '{"a": 1, "a": 2}', "[" * 100_000])
def test_a_body_that_would_lose_something_is_shown_as_it_is(text: str) -> None:
    assert body_text(text) == text


def test_control_characters_are_made_visible() -> None:
    assert visible("a\x1b[31m\r\nb\u200b한") == "a\\x1b[31m\\r\\nb\\u200b한"
    assert visible("a\nb\x07", keep="\n") == "a\nb\\x07"
    assert short("x" * 10, 5) == "xxxx…"


def test_show_has_every_part_of_a_message() -> None:
    one = letter(trace="Root=1", dlq_error="e\x1b", dlq_source_message_id="s")
    shown = "\n".join(lines(one, ["m2"], None))
    for part in ("m1", "copies       m2", "e\\x1b", "Root=1", "dlq_source_message_id (String)  s"):
        assert part in shown
    assert "\x1b" not in shown


# Compensations


def paid(id_: str, **detail: Any) -> Letter:
    return letter(id_, body(**detail), dlq_reason="compensation_required", dlq_error="no seat")


def test_compensations_have_one_row_a_reservation_and_payment_with_copies_counted() -> None:
    pay = {"payment_intent_id": "pay_1", "amount": 12_000, "currency": "KRW", "user_id": "u"}
    rows = due(
        [
            paid("a", **pay),
            paid("b", **pay),
            paid("c", **pay | {"payment_intent_id": "pay_2"}),
            letter("d", body("payment.failed"), dlq_reason="compensation_of_another"),
        ],
        NOW,
    )
    assert [(row.payment_intent_id, row.copies) for row in rows] == [("pay_1", 2), ("pay_2", 1)]
    first = rows[0]
    assert (first.reservation_id, first.amount, first.currency) == ("rsv_1", 12_000, "KRW")
    assert (first.user_id, first.dlq_error, first.message_id) == ("u", "no seat", "a")
    assert first.first_seen == "2027-01-15T08:00:00+00:00"


def test_two_payments_without_an_id_are_two_rows() -> None:
    assert len(due([paid("a", amount=1), paid("b", amount=2)], NOW)) == 2


@pytest.mark.parametrize("amount", [True, [1], {"x": 1}, float("1e400"), None])
def test_an_amount_that_is_none_is_left_out(amount: object) -> None:
    text = body(amount=amount).replace("Infinity", "1e400")
    one = letter(text=text, dlq_reason="compensation_required")
    assert due([one], NOW)[0].amount is None


def test_a_letter_that_is_no_event_still_has_its_row() -> None:
    (row,) = due([letter(text="{", dlq_reason="compensation_required")], NOW)
    assert (row.reservation_id, row.message_id) == (None, "m1")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1"])  # noqa: RUF001
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell(text).startswith("'")
    assert cell(text).isprintable()


def test_an_ordinary_cell_stays_as_it_is() -> None:
    assert cell("rsv_1: 한국어") == "rsv_1: 한국어"


# Export and import


def test_an_exported_message_is_imported_unchanged() -> None:
    one = Letter.of(
        {
            "MessageId": "m",
            "Body": "한국어 🌮\n",
            "Attributes": {"SentTimestamp": "1000", "AWSTraceHeader": "Root=1"},
            "MessageAttributes": {
                "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
                "n": {"DataType": "Number.int", "StringValue": "42"},
                "dlq_reason": {"DataType": "String", "StringValue": "permanent_error"},
            },
        }
    )
    line = json.dumps(as_dict(one)).encode()
    ((number, (entry, _)),) = imports.read(b"\n" + line + b"\n", ours=True).items()
    assert number == 2
    assert entry["MessageBody"] == one.body
    assert entry["MessageAttributes"] == one.attributes
    assert entry["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"] == "Root=1"
    ((bare, _),) = imports.read(line, ours=False).values()
    assert set(bare["MessageAttributes"]) == {"bytes", "n"}


def attribute(name: str = "a", **value: object) -> dict[str, Any]:
    return {"body": "x", "attributes": {name: value}}


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"\xff", "not UTF-8"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "nested"),
        (b"[]", "not an object"),
        (b"{}", "body"),
        ({"body": ""}, "body"),
        ({"body": "\x00"}, "does not take"),
        ({"body": "x", "attributes": []}, None),
        ({"body": "x", "attributes": [1]}, "attributes"),
        ({"body": "x", "attributes": {f"a{n}": {} for n in range(11)}}, "at most 10"),
        ({"body": "x", "trace_header": 1}, "trace_header"),
        ({"body": "x" * 1_048_577}, "bytes"),
        (attribute("AWS.x", DataType="String", StringValue="v"), "name"),
        (attribute(DataType="Text", StringValue="v"), "DataType"),
        (attribute(DataType="String", BinaryValue="v"), "StringValue"),
        (attribute(DataType="String", StringValue="\ud800"), "does not take"),
        (attribute(DataType="Binary", BinaryValue="no!"), "base64"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_sent(line: Any, error: str | None) -> None:
    raw = line if isinstance(line, bytes) else json.dumps(line).encode()
    good = json.dumps({"body": "x"}).encode()
    content = good + b"\n" + raw
    if error is None:
        assert len(imports.read(content, ours=True)) == 2
        return
    with pytest.raises(OperationError, match="nothing was sent") as raised:
        imports.read(content, ours=True)
    assert "line 2: " in str(raised.value)
    assert error in str(raised.value)


def test_of_a_hundred_wrong_lines_twenty_are_shown() -> None:
    with pytest.raises(OperationError, match="100 of 100 lines are wrong") as raised:
        imports.read(b"{\n" * 100, ours=True)
    assert "and 80 more" in str(raised.value)


def test_binary_is_base64_in_a_line() -> None:
    binary = {"b": {"DataType": "Binary", "BinaryValue": b"\x00"}}
    one = Letter("m", "x", binary, None, 0.0, 1)
    assert as_dict(one)["attributes"]["b"]["BinaryValue"] == base64.b64encode(b"\x00").decode()


@pytest.mark.parametrize(
    ("line", "dlq", "queue"),
    [
        (["list"], None, None),
        (["--dlq-url", "http://a/1/d", "list"], "http://a/1/d", None),
        (["list", "--dlq-url", "http://a/1/d"], "http://a/1/d", None),
        (["--queue-url", "http://a/1/q", "list", "--dlq-url", "http://a/1/d"], "http://a/1/d", "q"),
        (["--dlq-url", "http://a/1/x", "list", "--dlq-url", "http://a/1/d"], "http://a/1/d", None),
    ],
)
def test_the_queues_are_named_before_or_behind_the_sub_verb(
    line: list[str], dlq: str | None, queue: str | None
) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(line)
    assert args.dlq_url == dlq
    assert args.queue_url == (queue and f"http://a/1/{queue}")
