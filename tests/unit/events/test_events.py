"""The parser's promises: one case for each line of the tables in docs/contract.md#events."""

import dataclasses
import json
from typing import Any

import pytest

from reservation_worker.errors import InvalidEvent
from reservation_worker.events.kinds import BY_PAYMENT_STATUS, PAYMENT_STATUS_TYPES, Kind
from reservation_worker.events.parse import Event, Ignored, TraceHints, parse
from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.story.samples import event as sample
from reservation_worker.simulator.story.variants import variants

RSV = "rsv_456"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
EXPIRED: dict[str, Any] = {
    "id": "evt_uuid",
    "type": "reservation.expired",
    "source": "reservation-api",
    "detail": {
        "reservation_id": RSV,
        "event_id": "evt_789",
        "qty": 2,
        "seat_ids": ["A1", "A2"],
        "user_id": "usr_1",
        "expires_at": "2025-01-23T10:00:00Z",
    },
    "time": "2025-01-23T10:00:00Z",
    "trace_id": "trace_abc",
    "version": "1.0",
    "region": "ap-northeast-2",
    "account": "137406935518",
}
APPROVED: dict[str, Any] = EXPIRED | {
    "type": "payment.approved",
    "source": "payment-sim-api",
    "detail": {
        "reservation_id": RSV,
        "payment_intent_id": "pay_abc",
        "amount": 100,
        "currency": "KRW",
        "event_id": "evt_789",
        "qty": 2,
        "seat_ids": ["A1", "A2"],
        "user_id": "usr_1",
    },
}
FAILED = APPROVED | {
    "type": "payment.failed",
    "detail": APPROVED["detail"] | {"error_code": "CARD_DECLINED", "error_message": "no money"},
}
RECORD = Record(RSV, "evt_789", ("A1", "A2"))
SAMPLES = {
    kind: sample(kind.event_type, RECORD, "pay_abc", identity="evt_uuid", trace_id="trace_abc")
    for kind in Kind
}
VARIANTS = [(kind, name) for kind, event in SAMPLES.items() for name in variants(event)]
USED = ["reservation_id", "event_id", "qty", "seat_ids", "payment_intent_id", "error_code"]
CAMEL = {
    "reservation_id": "reservationId",
    "event_id": "eventId",
    "qty": "quantity",
    "seat_ids": "seatIds",
    "payment_intent_id": "paymentIntentId",
    "error_code": "errorCode",
}


def body(kind: str = "payment.failed", **detail: Any) -> str:
    return json.dumps({"type": kind, "detail": {"reservation_id": RSV} | detail})


def status_body(**detail: Any) -> str:
    return json.dumps(
        {"detail-type": "Payment Status Updated", "detail": {"reservation_id": RSV} | detail}
    )


def understood(text: str | bytes, attributes: dict[str, str] | None = None) -> Event:
    event = parse(text, attributes or {})
    assert isinstance(event, Event)
    return event


def refusal(text: str | bytes) -> str:
    """The sentence of the refusal, which is short and a person can read, whatever the body."""
    with pytest.raises(InvalidEvent) as caught:
        parse(text)
    sentence = str(caught.value)
    assert 10 < len(sentence) < 240
    assert sentence.isprintable()
    return sentence


def test_the_canonical_expired_event_keeps_every_fact() -> None:
    assert understood(json.dumps(EXPIRED)) == Event(
        kind=Kind.EXPIRED,
        reservation_id=RSV,
        id="evt_uuid",
        event_id="evt_789",
        seat_ids=("A1", "A2"),
        qty=2,
        payment_intent_id=None,
        error_code=None,
        user_id="usr_1",
        order_id=None,
        trace=TraceHints(trace_ids=("trace_abc",)),
    )


def test_the_canonical_payment_events_keep_what_only_they_have() -> None:
    approved = understood(json.dumps(APPROVED))
    assert (approved.kind, approved.payment_intent_id) == (Kind.APPROVED, "pay_abc")
    failed = understood(json.dumps(FAILED))
    assert (failed.kind, failed.error_code) == (Kind.FAILED, "CARD_DECLINED")
    assert understood(body(order_id="ord_1")).order_id == "ord_1"


def test_bytes_and_text_mean_the_same() -> None:
    text = json.dumps(FAILED | {"note": "예약"}, ensure_ascii=False)
    assert parse(text.encode()) == parse(text)


@pytest.mark.parametrize(("kind", "name"), VARIANTS)
def test_every_variant_tells_the_same_facts(kind: Kind, name: str) -> None:
    expected = understood(json.dumps(SAMPLES[kind]))
    if name == "payment_status":  # payment-sim-api does not know the seats
        expected = dataclasses.replace(expected, event_id=None, seat_ids=None, qty=None)
    if name == "flat":  # nor the scheduler the message's identity
        expected = dataclasses.replace(expected, id=None)
    assert parse(variants(SAMPLES[kind])[name]) == expected


def test_only_the_variants_that_fit_a_type_are_built() -> None:
    of_all = {"canonical", "eventbridge", "pascal_case", "camel_case", "flat", "sns", "nested"}
    assert set(variants(EXPIRED)) == of_all | {"legacy_type"}
    assert set(variants(APPROVED)) == set(variants(FAILED)) == of_all | {"payment_status"}


def test_the_variants_look_as_the_contract_shows_them() -> None:
    bodies = {name: json.loads(text) for name, text in variants(EXPIRED).items()}
    assert bodies["canonical"] == EXPIRED
    assert bodies["eventbridge"]["detail-type"] == "reservation.expired"
    assert bodies["eventbridge"]["version"] == "0"
    assert "type" not in bodies["eventbridge"]
    assert "resources" in bodies["eventbridge"]
    assert bodies["legacy_type"]["type"] == "reservation.hold.expired"
    assert bodies["pascal_case"]["detail-type"] == "ReservationExpired"
    assert bodies["camel_case"]["detail"]["expiresAt"] == "2025-01-23T10:00:00Z"
    assert set(CAMEL.values()) & set(bodies["camel_case"]["detail"]) == {
        "reservationId",
        "eventId",
        "quantity",
        "seatIds",
    }
    assert bodies["flat"]["reservationId"] == RSV
    assert "detail" not in bodies["flat"]
    assert bodies["sns"]["Type"] == "Notification"
    assert json.loads(bodies["sns"]["Message"]) == EXPIRED
    assert bodies["nested"]["detail"] == EXPIRED

    paid = json.loads(variants(APPROVED)["payment_status"])
    assert paid["detail-type"] == "Payment Status Updated"
    assert paid["detail"]["event_type"] == "payment.status_updated"
    assert paid["detail"]["status"] == "PAYMENT_STATUS_COMPLETED"
    assert paid["detail"]["payment_id"] == "pay_abc"
    assert paid["detail"]["timestamp"] == 1737626400
    assert not {"event_id", "qty", "seat_ids", "payment_intent_id"} & set(paid["detail"])


@pytest.mark.parametrize("key", ["type", "detail-type"])
@pytest.mark.parametrize(
    ("name", "kind"), [(name, one) for one in Kind for name in one.value.types]
)
def test_every_name_of_a_type_is_known_under_both_keys(key: str, name: str, kind: Kind) -> None:
    assert understood(json.dumps({key: name, "reservationId": RSV})).kind is kind


@pytest.mark.parametrize("absent", [None, ""])
def test_an_empty_type_gives_way_to_the_detail_type(absent: str | None) -> None:
    text = json.dumps({"type": absent, "detail-type": "PaymentFailed", "reservation_id": RSV})
    assert understood(text).kind is Kind.FAILED


def test_the_type_goes_before_the_detail_type() -> None:
    text = {"type": "payment.failed", "detail-type": "payment.approved", "reservation_id": RSV}
    assert understood(json.dumps(text)).kind is Kind.FAILED


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({}, "no type"),
        ({"type": None, "detail-type": ""}, "no type"),
        ({"type": "reservation.created"}, "'reservation.created' is unknown"),
        ({"type": "reservation.created", "detail-type": "payment.approved"}, "is unknown"),
        ({"type": "Payment.Approved"}, "is unknown"),
        ({"type": "payment.approved "}, "is unknown"),
        ({"type": 5}, "type is 5, not a string"),
        ({"detail-type": ["payment.approved"]}, "detail-type is a list, not a string"),
        ({"type": "\ud800"}, "type holds lone surrogates"),
    ],
)
def test_a_type_that_nobody_knows_is_refused(event: dict[str, Any], says: str) -> None:
    assert says in refusal(json.dumps({"detail": {"reservation_id": RSV}} | event))


@pytest.mark.parametrize("name", PAYMENT_STATUS_TYPES)
@pytest.mark.parametrize("key", ["type", "detail-type"])
@pytest.mark.parametrize(
    ("status", "kind"), [(name, one) for one in Kind for name in one.value.payment_statuses]
)
def test_a_decided_payment_status_is_a_payment_event(
    key: str, name: str, status: str, kind: Kind
) -> None:
    detail = {"reservation_id": RSV, "payment_id": "pay_1", "status": status, "timestamp": 1}
    event = understood(json.dumps({key: name, "detail": detail}))
    assert (event.kind, event.payment_intent_id) == (kind, "pay_1")
    assert (event.event_id, event.seat_ids, event.qty) == (None, None, None)


@pytest.mark.parametrize("status", [name for name, kind in BY_PAYMENT_STATUS.items() if not kind])
def test_an_undecided_payment_status_is_nothing_to_do(status: str) -> None:
    text = status_body(status=status, trace_id="t1")
    ignored = parse(text, {"traceparent": TRACEPARENT})
    assert ignored == Ignored(
        reservation_id=RSV,
        reason=f"nothing to do for {status}",
        trace=TraceHints((TRACEPARENT,), ("t1",)),
    )


@pytest.mark.parametrize(
    ("detail", "says"),
    [
        ({}, "has no status"),
        ({"status": None}, "has no status"),
        ({"status": ""}, "has no status"),
        ({"status": "PAYMENT_STATUS_LOST"}, "'PAYMENT_STATUS_LOST' is unknown"),
        ({"status": "COMPLETED"}, "'COMPLETED' is unknown"),
        ({"status": "payment_status_completed"}, "is unknown"),
        ({"status": 2}, "status is 2, not a string"),
        ({"status": ["PAYMENT_STATUS_COMPLETED"]}, "status is a list"),
        ({"status": "PAYMENT_STATUS_PENDING", "reservation_id": None}, "no reservation_id"),
        ({"status": "PAYMENT_STATUS_PENDING", "reservation_id": "../x"}, "not safe"),
        ({"status": "PAYMENT_STATUS_FAILED", "payment_id": 7}, "payment_id is 7"),
    ],
)
def test_a_payment_status_that_is_not_in_the_table_is_refused(
    detail: dict[str, Any], says: str
) -> None:
    assert says in refusal(status_body(**detail))


def test_only_a_payment_status_calls_the_payment_intent_payment_id() -> None:
    assert understood(body(payment_id="pay_1")).payment_intent_id is None
    assert understood(body(payment_id=7, status=7)).payment_intent_id is None
    both = status_body(status="PAYMENT_STATUS_FAILED", payment_id="b", payment_intent_id="a")
    assert understood(both).payment_intent_id == "a"


@pytest.mark.parametrize("absent", [{}, {"detail": None}, {"detail": ""}])
def test_without_a_detail_the_body_is_the_detail(absent: dict[str, Any]) -> None:
    text = json.dumps({"type": "reservation.expired", "reservationId": "rsv_1"} | absent)
    assert understood(text).reservation_id == "rsv_1"


@pytest.mark.parametrize("detail", [[], "{}", 5, 0, False, True])
def test_a_detail_that_is_no_object_is_refused(detail: Any) -> None:
    text = json.dumps({"type": "payment.failed", "reservation_id": RSV, "detail": detail})
    assert "detail is " in refusal(text)


def test_an_empty_detail_is_not_filled_in_from_the_body() -> None:
    text = json.dumps({"type": "payment.failed", "reservation_id": RSV, "detail": {}})
    assert "no reservation_id" in refusal(text)


def test_an_event_in_eventbridge_in_sns_is_understood() -> None:
    inner = {"detail-type": "whatever the rule says", "detail": EXPIRED}
    text = json.dumps({"Type": "Notification", "Message": json.dumps(inner)})
    assert parse(text) == parse(json.dumps(EXPIRED))


def test_the_type_of_a_nested_event_is_its_own_alone() -> None:
    outer = {"type": "payment.approved", "detail": FAILED}
    assert understood(json.dumps(outer)).kind is Kind.FAILED
    untyped = {"type": "payment.approved", "detail": {"detail": {"reservation_id": RSV}}}
    assert "no type" in refusal(json.dumps(untyped))


@pytest.mark.parametrize("value", [None, "", "no money left", 5, [], [{}]])
def test_only_an_object_in_the_detail_of_a_detail_is_an_event(value: Any) -> None:
    assert parse(body(detail=value)) == parse(body())


@pytest.mark.parametrize("message", [None, 5, EXPIRED, [json.dumps(EXPIRED)], True])
def test_an_sns_message_that_is_no_string_is_refused(message: Any) -> None:
    text = json.dumps({"Type": "Notification", "Message": message, **EXPIRED})
    assert "the SNS Message is " in refusal(text)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "hello",
        "[]",
        "null",
        "\ud800",
        "\ufeff{}",
        pytest.param("[" * 99_999, id="99,999 lists"),
    ],
)
def test_an_sns_message_that_holds_no_event_is_refused_and_named(message: str) -> None:
    text = json.dumps({"Type": "Notification", "Message": message})
    assert "the SNS Message" in refusal(text)


def test_other_sns_types_are_no_events() -> None:
    text = json.dumps({"Type": "SubscriptionConfirmation", "Message": "You have chosen ..."})
    assert "no type" in refusal(text)


def wrapped(times: int, sns: bool) -> str:
    event: dict[str, Any] = EXPIRED
    for _ in range(times):
        message = {"Type": "Notification", "Message": json.dumps(event)}
        event = message if sns else {"detail": event}
    return json.dumps(event)


@pytest.mark.parametrize("sns", [True, False])
def test_envelopes_are_opened_to_a_bounded_depth(sns: bool) -> None:
    assert understood(wrapped(4, sns)).reservation_id == RSV
    assert "more than 4 envelopes" in refusal(wrapped(5, sns))


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
    for wrong in (5, "\ud800"):  # nobody reads the second name once the first is there
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
def test_what_python_takes_for_json_but_is_not_is_refused(literal: str) -> None:
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
def test_without_a_reservation_id_nothing_can_be_done(absent: dict[str, Any]) -> None:
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


def test_a_traceparent_is_looked_for_in_the_attribute_the_detail_and_the_body() -> None:
    event = {
        "type": "payment.failed",
        "traceparent": "body",
        "detail": {"reservation_id": RSV, "traceparent": "detail"},
    }
    hints = understood(json.dumps(event), {"traceparent": "attribute"}).trace
    assert hints == TraceHints(traceparents=("attribute", "detail", "body"))


def test_a_trace_id_is_looked_for_in_the_attribute_the_body_and_the_detail() -> None:
    event = {
        "type": "payment.failed",
        "trace_id": "body",
        "traceId": "body camel",
        "detail": {"reservation_id": RSV, "trace_id": "detail", "traceId": "detail camel"},
    }
    hints = understood(json.dumps(event), {"TraceId": "attribute"}).trace
    assert hints.traceparents == ()
    assert hints.trace_ids == ("attribute", "body", "body camel", "detail", "detail camel")


def test_the_layers_give_their_trace_from_the_innermost_out() -> None:
    detail = {"reservation_id": RSV, "traceparent": "p0", "trace_id": "t1"}
    event = {"type": "payment.failed", "traceparent": "p1", "trace_id": "t0", "detail": detail}
    bridge = {"traceparent": "p2", "trace_id": "t2", "detail": event}
    topic = {"traceparent": "p3", "trace_id": "t3"}
    message = topic | {"Type": "Notification", "Message": json.dumps(bridge)}
    assert understood(json.dumps(message)).trace == TraceHints(
        traceparents=("p0", "p1", "p2", "p3"), trace_ids=("t0", "t1", "t2", "t3")
    )


def test_a_flat_body_gives_its_trace_once() -> None:
    text = json.dumps(
        {"type": "payment.failed", "reservationId": RSV, "traceparent": "p", "traceId": "t"}
    )
    assert understood(text, {"TraceId": "t"}).trace == TraceHints(("p",), ("t",))


@pytest.mark.parametrize("value", [None, "", 5, True, ["t"], {}, "\ud800"])
def test_what_can_be_no_trace_is_left_out(value: Any) -> None:
    text = body(traceparent=value, trace_id=value)
    attributes = {"traceparent": value, "TraceId": value}
    assert understood(text, attributes).trace == TraceHints()


@pytest.mark.parametrize(
    "value", ["trace_abc", "예약", "a\nb", " ", pytest.param("x" * 5_000, id="long"), "0" * 32]
)
def test_an_odd_trace_stays_a_candidate_for_others_to_judge(value: str) -> None:
    assert understood(body(trace_id=value)).trace == TraceHints(trace_ids=(value,))


def test_attributes_are_read_for_the_trace_only() -> None:
    attributes = {"type": "payment.approved", "reservation_id": "rsv_2", "traceid": "t"}
    assert parse(body(), attributes) == parse(body())
