"""The parser's fields: names, types, ranges, and the fields that it ignores."""

import json
from typing import Any

import pytest

from reservation_worker.events.parse import parse
from tests.unit.events.bodies import CAMEL, RSV, USED, body, refusal, status_body, understood


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("reservationId", "rsv_1", "reservation_id"),
        ("eventId", "evt_1", "event_id"),
        ("userId", "usr_1", "user_id"),
        ("seatIds", ["A1"], "seat_ids"),
        ("quantity", 3, "qty"),
        ("paymentIntentId", "pay_1", "payment_intent_id"),
        ("errorCode", "E1", "error_code"),
        ("orderId", "ord_1", "order_id"),
    ],
)
def test_every_camel_case_name_is_understood_after_the_canonical_one(
    name: str, value: Any, field: str
) -> None:
    detail = {"reservation_id": None if field == "reservation_id" else RSV}
    expected = tuple(value) if isinstance(value, list) else value
    for absent in (None, ""):
        event = understood(body(**{**detail, field: absent, name: value}))
        assert getattr(event, field) == expected
    for wrong in (5, "\ud800"):  # the second name is not read if the first is there
        event = understood(body(**{**detail, field: value, name: wrong}))
        assert getattr(event, field) == expected


@pytest.mark.parametrize("absent", [None, ""])
def test_null_and_the_empty_string_count_as_absent(absent: str | None) -> None:
    names = [*USED[1:], *CAMEL.values(), "user_id", "order_id"]
    assert parse(body(**dict.fromkeys(names, absent))) == parse(body())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "the body is empty", id="empty"),
        pytest.param(b"", "the body is empty", id="empty bytes"),
        pytest.param(" \r\n\t", "the body is empty", id="blank"),
        pytest.param(b"\xff\xfe{}", "not UTF-8", id="bytes that are not UTF-8"),
        pytest.param(b"\xed\xa0\x80", "not UTF-8", id="a surrogate in bytes"),
        pytest.param('"\ud800"', "not UTF-8", id="a surrogate in text"),
        pytest.param("{}".encode("utf-16-le"), "not JSON", id="UTF-16"),
        pytest.param("\ufeff" + body(), "byte order mark", id="BOM"),
        pytest.param(b"\xef\xbb\xbf" + body().encode(), "byte order mark", id="BOM in bytes"),
        pytest.param("hello", "not JSON", id="a word"),
        pytest.param(body()[:-1], "not JSON", id="cut off"),
        pytest.param(body() + body(), "not JSON", id="two events"),
        pytest.param("{'type': 'payment.failed'}", "not JSON", id="Python"),
        pytest.param('{"type": "payment\n.failed"}', "not JSON", id="a raw newline in a string"),
        pytest.param("[]", "the body is a list", id="a list"),
        pytest.param(f"[{body()}]", "the body is a list", id="a list of events"),
        pytest.param("null", "the body is missing or null", id="null"),
        pytest.param("true", "the body is true", id="true"),
        pytest.param("17", "the body is 17", id="a number"),
        pytest.param(json.dumps(body()), "the body is '{", id="JSON in JSON"),
        pytest.param("[" * 100_000, "too deeply", id="100,000 open lists"),
        pytest.param("[" * 100_000 + "]" * 100_000, "too deeply", id="100,000 lists"),
        pytest.param('{"a":' * 100_000 + "1" + "}" * 100_000, "too deeply", id="100,000 objects"),
        pytest.param("x" * 2**20, "not JSON", id="1 MiB of x"),
        pytest.param('"' + "x" * (2**20 - 2) + '"', "the body is 'xxx", id="1 MiB string"),
        pytest.param('{"type":"' + "\u202e" * 350_000 + '"}', "is unknown", id="1 MiB type"),
        pytest.param("9" * 2**20, "the body is inf", id="1 MiB number"),
        pytest.param(
            json.dumps({"type": "payment.failed", "detail": [0] * 300_000}),
            "detail is a list",
            id="1 MiB list",
        ),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(text: str | bytes, says: str) -> None:
    assert says in refusal(text)


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_pythons_extensions_of_json_are_refused(literal: str) -> None:
    text = body(amount=0).replace("0}", literal + "}")
    assert f"holds {literal}, which is not JSON" in refusal(text)


@pytest.mark.parametrize("name", ["reservation_id", "reservationId"])
@pytest.mark.parametrize(
    "value",
    [
        "r",
        "rsv_456",
        "A.b:c-d_9",
        "0",
        pytest.param("x" * 128, id="128"),
        "550e8400-e29b-41d4-a716-446655440000",
    ],
)
def test_a_harmless_reservation_id_is_kept_as_it_is(name: str, value: str) -> None:
    text = json.dumps({"type": "payment.failed", "detail": {name: value}})
    assert understood(text).reservation_id == value


@pytest.mark.parametrize("name", ["reservation_id", "reservationId"])
@pytest.mark.parametrize(
    "value",
    [
        "../../admin",
        "a/b?x=1",
        "rsv%2f..",
        "rsv_1\n",
        "\nrsv_1",
        "rsv_1 ",
        pytest.param("x" * 129, id="129 characters"),
        pytest.param("x" * 2**20, id="1 MiB"),
        "..",
        "_rsv",
        "-rsv",
        ":rsv",
        "rsv#1",
        "rsv;1",
        "rsv\\1",
        "rsv\x00",
        "예약_1",
        "rsv_\u0661",  # a digit to Unicode, and to \d
        "rsv_\u00e9",
        "rsv_1\u2028",
    ],
)
def test_a_reservation_id_that_could_bend_a_url_is_refused(name: str, value: str) -> None:
    text = json.dumps({"type": "payment.failed", "detail": {name: value}})
    assert "not safe to put into a URL" in refusal(text)


@pytest.mark.parametrize("absent", [{}, {"reservation_id": None}, {"reservation_id": ""}])
def test_an_event_without_a_reservation_id_is_refused(absent: dict[str, Any]) -> None:
    text = json.dumps({"type": "payment.failed", "detail": absent})
    assert "no reservation_id" in refusal(text)


@pytest.mark.parametrize("name", sorted({*USED, *CAMEL.values()} - {"seat_ids", "seatIds"}))
@pytest.mark.parametrize("value", [True, False, [], ["a"], {}, {"a": 1}, 1.0, 0, -1])
def test_a_used_field_of_the_wrong_type_is_refused_and_named(name: str, value: Any) -> None:
    detail = {"reservation_id": None, name: value} if "eservation" in name else {name: value}
    assert f"{name} is " in refusal(body(**detail))


@pytest.mark.parametrize("name", [*USED, *CAMEL.values()])
def test_a_lone_surrogate_in_a_used_field_is_refused(name: str) -> None:
    value: Any = "x\udfff"
    detail = {"reservation_id": None, name: value} if "eservation" in name else {name: value}
    assert name in refusal(body(**detail))


def test_a_surrogate_pair_is_a_character_like_any_other() -> None:
    assert understood(body(event_id="\U0001f32e")).event_id == "\U0001f32e"


@pytest.mark.parametrize("name", ["qty", "quantity"])
@pytest.mark.parametrize(
    "digits",
    [
        "0",
        "-0",
        "-1",
        str(2**31),
        "1" * 20,
        pytest.param("1" * 5_000, id="5,000 digits"),
        pytest.param("-" + "1" * 5_000, id="minus 5,000 digits"),
        "2.0",
        "2e0",
        "1e999",
    ],
)
def test_a_quantity_out_of_range_is_refused(name: str, digits: str) -> None:
    text = body(**{name: "?"}).replace('"?"', digits)
    assert f"{name} is " in refusal(text)
    assert "not a whole number from 1 to 2147483647" in refusal(text)


@pytest.mark.parametrize("value", ["2", "two", True])
def test_a_quantity_that_is_no_number_is_refused(value: Any) -> None:
    assert "not a whole number" in refusal(body(qty=value))


@pytest.mark.parametrize("qty", [1, 2**31 - 1])
def test_the_bounds_of_a_quantity_belong_to_it(qty: int) -> None:
    assert understood(body(qty=qty)).qty == qty


@pytest.mark.parametrize(
    ("seats", "says"),
    [
        ("A1,A2", "seat_ids is 'A1,A2', not a list"),
        ({"A1": 1}, "seat_ids is an object, not a list"),
        (5, "seat_ids is 5, not a list"),
        (False, "seat_ids is false, not a list"),
        (["A1", 2], "seat_ids[1] is 2, not a string"),
        (["A1", "A2", None], "seat_ids[2] is missing or null, not a string"),
        (["A1", ""], "seat_ids[1] is an empty string"),
        (["A1", ["A2"]], "seat_ids[1] is a list, not a string"),
        ([{}], "seat_ids[0] is an object, not a string"),
        (["A1", "\ud800"], "seat_ids[1] holds lone surrogates"),
    ],
)
def test_seats_that_are_no_list_of_names_are_refused(seats: Any, says: str) -> None:
    assert says in refusal(body(seat_ids=seats))


UNUSED = [
    "amount",
    "currency",
    "user_id",
    "userId",
    "order_id",
    "orderId",
    "time",
    "timestamp",
    "expires_at",
    "error_message",
    "status",
    "payment_id",
    "event_type",
    "trace_id",
    "traceId",
    "traceparent",
    "id",
    "version",
    "type",
    "whatever",
]
HUGE = "9" * 5_000
RAW_VALUES = [
    "null", "true", "0", "-1", "1e999", "1.5", '""', "[]", "{}", '[{"a":[null]}]',
    r'"\ud800"', r'["\udfff"]', r'{"\ud800":1}', HUGE, f"-{HUGE}", f"[{HUGE}]",
    '{"a":1,"a":2}', '{"reservation_id":1,"reservation_id":2}',
]  # fmt: skip


@pytest.mark.parametrize("name", UNUSED)
@pytest.mark.parametrize("raw", RAW_VALUES, ids=[raw[:20] for raw in RAW_VALUES])
def test_an_unused_field_of_the_wrong_type_is_never_a_reason_to_reject(name: str, raw: str) -> None:
    event = understood(body(**{name: "?"}).replace('"?"', raw))
    assert event == parse(body())


@pytest.mark.parametrize(
    "name", ["id", "time", "source", "version", "region", "account", "resources", "trace_id"]
)
@pytest.mark.parametrize("raw", RAW_VALUES, ids=[raw[:20] for raw in RAW_VALUES])
def test_nor_is_one_of_the_envelope(name: str, raw: str) -> None:
    text = body().replace('{"type"', f'{{"{name}": {raw}, "type"', 1)
    assert parse(text) == parse(body())


def test_a_mebibyte_of_unused_fields_does_no_harm() -> None:
    text = body(error_message="x" * 2**20, amount=[[1]] * 50_000)
    assert parse(text) == parse(body())


@pytest.mark.parametrize(
    "twice",
    [*USED, *CAMEL.values()],
)
def test_a_used_field_that_is_there_twice_is_refused_and_named(twice: str) -> None:
    text = '{"type": "payment.failed", "detail": {"reservation_id": "rsv_1", "%s": 1, "%s": 1}}'
    assert f"the key {twice} is there more than once" in refusal(text % (twice, twice))


@pytest.mark.parametrize("twice", ["type", "detail-type", "detail", "Type"])
def test_an_envelope_key_that_is_there_twice_is_refused_and_named(twice: str) -> None:
    pairs = [f'"{twice}": {{}}', f'"{twice}": {{}}', body()[1:-1]]
    text = "{" + ", ".join(pairs) + "}"
    assert f"the key {twice} is there more than once" in refusal(text)


def test_an_sns_message_or_payment_status_that_is_there_twice_is_refused() -> None:
    message = '{"Type": "Notification", "Message": "{}", "Message": "{}"}'
    assert "the key Message is there more than once" in refusal(message)
    for twice in ("status", "payment_id"):
        text = (
            status_body(status="PAYMENT_STATUS_FAILED")[:-2] + f', "{twice}": 1, "{twice}": 1}}}}'
        )
        assert f"the key {twice} is there more than once" in refusal(text)


@pytest.mark.parametrize("twice", [name for name in UNUSED if name != "type"])
def test_any_other_key_may_be_there_twice(twice: str) -> None:
    text = body()[:-2] + f', "{twice}": "a", "{twice}": "b"}}}}'
    assert parse(text) == parse(body())


def test_the_refusal_shows_the_value_escaped_and_cut() -> None:
    assert "the type 'a\\n\\x1b[31m\\u202e' is unknown" in refusal(
        json.dumps({"type": "a\n\x1b[31m\u202e", "detail": {}})
    )
    long = refusal(json.dumps({"type": "\u202e" * 1_000}))
    assert long.endswith("... is unknown")
    assert len(long) < 110


@pytest.mark.parametrize(
    ("detail", "seats", "qty"),
    [
        ({}, None, None),
        ({"qty": 3}, None, 3),
        ({"seat_ids": []}, (), None),
        ({"seat_ids": [], "qty": 3}, (), 3),
        ({"seat_ids": ["A1", "A2"]}, ("A1", "A2"), 2),
        ({"seat_ids": ["A1", "A2"], "qty": 2}, ("A1", "A2"), 2),
        ({"seat_ids": ["B", "A"], "qty": None}, ("B", "A"), 2),
    ],
)
def test_the_quantity_is_filled_in_from_the_seats(
    detail: dict[str, Any], seats: tuple[str, ...] | None, qty: int | None
) -> None:
    event = understood(body(**detail))
    assert (event.seat_ids, event.qty, event.warnings) == (seats, qty, ())


def test_seats_win_over_another_quantity_with_a_warning() -> None:
    event = understood(body(seat_ids=["A1", "A2"], qty=3))
    assert (event.seat_ids, event.qty) == (("A1", "A2"), 2)
    assert event.warnings == ("the quantity is 3, but seat_ids has 2 seats: the seats win",)


def test_a_seat_named_twice_counts_once_with_a_warning() -> None:
    event = understood(body(seat_ids=["A2", "A1", "A2", "A2"]))
    assert (event.seat_ids, event.qty) == (("A2", "A1"), 2)
    assert event.warnings == ("seat_ids repeats 2 of its seats",)
    assert len(understood(body(seat_ids=["A1", "A1"], qty=2)).warnings) == 2
