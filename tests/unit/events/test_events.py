"""The parser's types, variants and envelopes: docs/contract.md#events, line by line."""

import dataclasses
import json
from typing import Any

import pytest

from reservation_worker.events.kinds import BY_PAYMENT_STATUS, PAYMENT_STATUS_TYPES, Kind
from reservation_worker.events.parse import Event, Ignored, TraceHints, parse
from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.story.samples import event as sample
from reservation_worker.simulator.story.variants import variants
from tests.unit.events.bodies import (
    APPROVED,
    CAMEL,
    EXPIRED,
    FAILED,
    RSV,
    TRACEPARENT,
    body,
    refusal,
    status_body,
    understood,
)

RECORD = Record(RSV, "evt_789", ("A1", "A2"))
SAMPLES = {
    kind: sample(kind.event_type, RECORD, "pay_abc", identity="evt_uuid", trace_id="trace_abc")
    for kind in Kind
}
VARIANTS = [(kind, name) for kind, event in SAMPLES.items() for name in variants(event)]


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


def test_the_canonical_payment_events_keep_their_own_fields() -> None:
    approved = understood(json.dumps(APPROVED))
    assert (approved.kind, approved.payment_intent_id) == (Kind.APPROVED, "pay_abc")
    failed = understood(json.dumps(FAILED))
    assert (failed.kind, failed.error_code) == (Kind.FAILED, "CARD_DECLINED")
    assert understood(body(order_id="ord_1")).order_id == "ord_1"


def test_bytes_and_text_mean_the_same() -> None:
    text = json.dumps(FAILED | {"note": "예약"}, ensure_ascii=False)
    assert parse(text.encode()) == parse(text)


@pytest.mark.parametrize(("kind", "name"), VARIANTS)
def test_every_variant_has_the_same_facts(kind: Kind, name: str) -> None:
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
def test_an_unknown_type_is_refused(event: dict[str, Any], says: str) -> None:
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
def test_an_undecided_payment_status_is_ignored(status: str) -> None:
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
