"""parse answers every input with an event or a readable refusal, and loses no fact on the way.

Mutations of real bodies are tests/fuzz's.
"""

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import event as note
from hypothesis import strategies as st

from reservation_worker.errors import InvalidEvent
from reservation_worker.events.kinds import BY_TYPE, Kind
from reservation_worker.events.parse import Event, Ignored, parse
from reservation_worker.simulator.story.variants import variants

IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", fullmatch=True)
NAMES = st.text(min_size=1, max_size=20)
# st.text() by itself makes no lone surrogates.
ANY_TEXT = st.text(max_size=20) | st.text(st.sampled_from("\ud800\udfff\x00\n\u202eA1"), max_size=5)
ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 3)
    | st.floats()  # NaN and the infinities, too: json.dumps writes them as Python's literals
    | st.just(10**30)
    | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=8,
)
# Words of the contract in the wrong place hurt more than noise.
WORDS = st.sampled_from([
    "type", "detail-type", "detail", "Type", "Message", "Notification", "status", "trace_id",
    "reservation_id", "reservationId", "event_id", "qty", "quantity", "seat_ids", "seatIds",
    "payment_id", "payment_intent_id", "error_code", "traceparent", "reservation.expired",
    "PaymentApproved", "payment.failed", "payment.status_updated", "Payment Status Updated",
    "PAYMENT_STATUS_COMPLETED", "PAYMENT_STATUS_PENDING", "COMPLETED",
])  # fmt: skip
# A busy machine must not fail the tests.
steady = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def canonical_events(draw: st.DrawFn) -> dict[str, Any]:
    """A valid canonical event whose quantity, if there, agrees with its seats."""
    kind = draw(st.sampled_from(Kind))
    detail: dict[str, Any] = {"reservation_id": draw(IDS)}
    strings = ["event_id", "user_id", "order_id", "payment_intent_id", "error_code"]
    for name in draw(st.sets(st.sampled_from(strings))):
        detail[name] = draw(NAMES)
    seats = draw(st.none() | st.lists(NAMES, unique=True, max_size=5))
    if seats is not None:
        detail["seat_ids"] = seats
    if draw(st.booleans()):
        detail["qty"] = len(seats) if seats else draw(st.integers(1, 2**31 - 1))
    if draw(st.booleans()):
        detail["amount"] = draw(st.integers())
    event: dict[str, Any] = {"id": draw(NAMES), "type": kind.event_type, "detail": detail}
    if draw(st.booleans()):
        event["time"] = "2025-01-23T10:00:00Z"
    for name in draw(st.sets(st.sampled_from(["trace_id", "traceparent"]))):
        event[name] = draw(NAMES)
    return event


@st.composite
def bodies(draw: st.DrawFn) -> str:
    made = variants(draw(canonical_events()))
    return made[draw(st.sampled_from(sorted(made)))]


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from strings(each)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from strings(getattr(value, field.name))


def check(body: str | bytes, attributes: dict[str, str] | None = None) -> Event | Ignored | None:
    """Parse and hold the answer against all that parse promises; None: refused."""
    try:
        answer = parse(body, attributes or {})
    except InvalidEvent as error:
        sentence = str(error)
        assert 0 < len(sentence) <= 240
        assert sentence.isprintable()
        note("refused")
        return None
    note(type(answer).__name__)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", answer.reservation_id, re.ASCII)
    for string in strings(answer):
        assert string
        string.encode()
    if isinstance(answer, Ignored):
        return answer
    assert isinstance(answer.kind, Kind)
    assert answer.qty is None or (type(answer.qty) is int and 1 <= answer.qty < 2**31)
    if answer.seat_ids:
        assert answer.qty == len(answer.seat_ids) == len(set(answer.seat_ids))
    assert all(len(warning) < 160 for warning in answer.warnings)
    return answer


def facts(event: Event | Ignored | None) -> dict[str, Any]:
    """What the settlement uses."""
    assert isinstance(event, Event)
    unused = ("id", "trace", "warnings")
    return {
        k.name: getattr(event, k.name) for k in dataclasses.fields(event) if k.name not in unused
    }


@steady
@given(ANY_TEXT)
@example("\ufeff")
@example("[" * 100_000)
def test_any_text_is_answered(body: str) -> None:
    check(body)


@steady
@given(st.binary())
def test_any_bytes_are_answered(body: bytes) -> None:
    check(body)


@steady
@given(ANY_JSON)
def test_any_json_is_answered(value: Any) -> None:
    check(json.dumps(value))


@steady
@given(WORDS, ANY_JSON, ANY_JSON)
def test_any_json_in_an_envelope_is_answered(kind: str, detail: Any, message: Any) -> None:
    check(json.dumps({"type": kind, "detail": detail}))
    check(json.dumps({"Type": "Notification", "Message": message}))
    check(json.dumps({"Type": "Notification", "Message": json.dumps(message)}))


@steady
@given(bodies(), st.dictionaries(st.sampled_from(["traceparent", "TraceId"]), ANY_TEXT))
def test_no_message_attribute_spoils_a_real_body(body: str, attributes: dict[str, str]) -> None:
    event = check(body, attributes)
    assert facts(event) == facts(check(body))


@steady
@given(canonical_events())
def test_every_variant_of_an_event_has_the_same_facts(event: dict[str, Any]) -> None:
    detail = event["detail"]
    seats = detail.get("seat_ids")
    expected = {
        "kind": BY_TYPE[event["type"]],
        "reservation_id": detail["reservation_id"],
        "event_id": detail.get("event_id"),
        "seat_ids": None if seats is None else tuple(seats),
        "qty": detail.get("qty", len(seats) if seats else None),
        "payment_intent_id": detail.get("payment_intent_id"),
        "error_code": detail.get("error_code"),
        "user_id": detail.get("user_id"),
        "order_id": detail.get("order_id"),
    }
    for name, body in variants(event).items():
        answer = check(body)
        missing = {"event_id": None, "seat_ids": None, "qty": None}
        assert facts(answer) == expected | (missing if name == "payment_status" else {}), name
        assert isinstance(answer, Event)
        assert answer.warnings == ()
        for hints, key in (
            (answer.trace.trace_ids, "trace_id"),
            (answer.trace.traceparents, "traceparent"),
        ):
            assert hints == ((event[key],) if key in event else ()), name
