"""The places where the parser looks for a trace, in their order."""

import json
from typing import Any

import pytest

from reservation_worker.events.parse import TraceHints, parse
from tests.unit.events.bodies import RSV, body, understood


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
def test_an_impossible_trace_is_left_out(value: Any) -> None:
    text = body(traceparent=value, trace_id=value)
    attributes = {"traceparent": value, "TraceId": value}
    assert understood(text, attributes).trace == TraceHints()


@pytest.mark.parametrize(
    "value", ["trace_abc", "예약", "a\nb", " ", pytest.param("x" * 5_000, id="long"), "0" * 32]
)
def test_an_odd_trace_stays_a_candidate(value: str) -> None:
    assert understood(body(trace_id=value)).trace == TraceHints(trace_ids=(value,))


def test_attributes_are_read_for_the_trace_only() -> None:
    attributes = {"type": "payment.approved", "reservation_id": "rsv_2", "traceid": "t"}
    assert parse(body(), attributes) == parse(body())
