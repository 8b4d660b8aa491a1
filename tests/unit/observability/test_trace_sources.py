"""The sources of a message's trace (docs/contract.md#trace-context): the first valid one wins."""

import json
from typing import Any

import pytest

from reservation_worker.events.parse import parse
from reservation_worker.observability.tracing import Tracing, read_trace
from tests.unit.observability.traces import (
    PARENT,
    handed_on,
    ids,
    read,
    trace_number,
    traceparent,
    xray,
)

SOURCES: dict[str, tuple[str, Any]] = {
    "message attribute traceparent": ("attributes", {"traceparent": traceparent(trace_number(1))}),
    "detail.traceparent": ("detail", {"traceparent": traceparent(trace_number(2))}),
    "top-level traceparent": ("top", {"traceparent": traceparent(trace_number(3))}),
    "message attribute TraceId": ("attributes", {"TraceId": trace_number(4)}),
    "the body's trace_id": ("top", {"trace_id": trace_number(5)}),
    "detail.trace_id": ("detail", {"trace_id": trace_number(6)}),
    "AWSTraceHeader": ("header", xray(trace_number(7))),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_wins_over_all_that_come_after_it(name: str) -> None:
    position = list(SOURCES).index(name)
    given: dict[str, Any] = {}
    for where, what in list(SOURCES.values())[position:]:
        given[where] = given.get(where, {}) | what if isinstance(what, dict) else what
    trace = read(**given)
    assert f"{trace.trace_id:032x}" == trace_number(position + 1)


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_is_enough_by_itself_and_its_trace_is_handed_on(
    tracing: Tracing, name: str
) -> None:
    where, what = SOURCES[name]
    headers = handed_on(tracing, read(**{where: what}))
    assert ids(headers)[0] == trace_number(list(SOURCES).index(name) + 1)


def test_without_any_source_every_message_starts_its_own_trace() -> None:
    one, two = read(), read()
    assert one.trace_id != two.trace_id
    assert one.trace_id > 0


@pytest.mark.parametrize(
    "wrong",
    [
        "garbage",
        "",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{'1' * 32}-{'0' * 16}-01",
        f"ff-{'1' * 32}-{PARENT}-01",
        f"00-{'1' * 31}-{PARENT}-01",
        f"00-{'g' * 32}-{PARENT}-01",
        f"00-{'1' * 32}-{PARENT}",
    ],
)
def test_a_traceparent_that_is_not_valid_gives_way_to_the_next_source(wrong: str) -> None:
    for trace in (
        read({"traceparent": wrong}, detail={"traceparent": traceparent(trace_number(2))}),
        read({"traceparent": wrong, "TraceId": trace_number(2)}),
    ):
        assert f"{trace.trace_id:032x}" == trace_number(2)


@pytest.mark.parametrize(
    "wrong", ["trace_abc", "0" * 32, "a" * 31, "a" * 33, "g" * 32, f" {'a' * 31}", f"+{'a' * 31}"]
)
def test_a_trace_id_that_is_not_32_hex_digits_starts_a_trace_or_gives_way(wrong: str) -> None:
    assert f"{read({'TraceId': wrong}, header=xray(trace_number(7))).trace_id:032x}" == (
        trace_number(7)
    )
    started = read({"TraceId": wrong})
    assert f"{started.trace_id:032x}" != wrong
    assert started.trace_id > 0


@pytest.mark.parametrize(
    "rest", ["", ";", ";Sampled=1", f";Parent={PARENT}", f";Parent={PARENT};Sampled=?", ";Self=x"]
)
def test_a_trace_header_whose_root_alone_is_usable_continues_its_trace(rest: str) -> None:
    root = xray(trace_number(7)).partition(";")[0]
    for header in (root + rest, f"Self=1-{'1' * 8}-{'1' * 24};{root}{rest}"):
        assert f"{read(header=header).trace_id:032x}" == trace_number(7)


SNS_SOURCES = {
    "traceparent": traceparent(trace_number(3)),
    "TraceId": trace_number(3),
}


def notification(attributes: Any) -> str:
    event = {"type": "reservation.expired", "detail": {"reservation_id": "rsv_1"}}
    return json.dumps(
        {
            "Type": "Notification",
            "Message": json.dumps(event | {"trace_id": trace_number(5)}),
            "MessageAttributes": attributes,
        }
    )


@pytest.mark.parametrize("name", SNS_SOURCES)
def test_the_attributes_inside_an_sns_envelope_come_right_after_the_messages_own(name: str) -> None:
    text = notification({name: {"Type": "String", "Value": SNS_SOURCES[name]}})
    for attributes, expected in (
        ({}, trace_number(3)),
        ({"traceparent": traceparent(trace_number(1))}, trace_number(1)),
    ):
        event = parse(text, attributes)
        assert f"{read_trace(event.trace, None).trace_id:032x}" == expected


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "x",
        [],
        {"traceparent": "x"},
        {"TraceId": {"Value": 7}},
        {"TraceId": {}},
        {"TraceId": None},
    ],
)
def test_wrong_attributes_inside_an_sns_envelope_give_way_to_the_next_source(wrong: Any) -> None:
    event = parse(notification(wrong))
    assert f"{read_trace(event.trace, None).trace_id:032x}" == trace_number(5)


@pytest.mark.parametrize("wrong", ["garbage", "Root=1-0-0", "Parent=b7ad6b7169203331", "Root="])
def test_a_wrong_trace_header_starts_a_trace(wrong: str) -> None:
    assert read(header=wrong).trace_id > 0


def test_a_trace_id_in_upper_case_is_the_same_trace_and_is_forwarded_unchanged(
    tracing: Tracing,
) -> None:
    given = "0AF7651916CD43DD8448EB211C80319C"
    headers = handed_on(tracing, read({"TraceId": given}))
    assert ids(headers)[0] == given.lower()
    assert headers["x-trace-id"] == given


# x-trace-id and the log's trace_id.


@pytest.mark.parametrize("given", ["trace_abc", "a", "x" * 128, "with space ~!", trace_number(5)])
def test_a_trace_id_that_can_be_a_header_is_forwarded_as_it_came(given: str) -> None:
    trace = read(top={"trace_id": given})
    assert (trace.header_id, trace.log_id) == (given, given)


@pytest.mark.parametrize(
    "given", ["x" * 129, "자리", "tab\there", "line\nbreak", "\x7f", "\x00", "caf\xe9"]
)
def test_a_trace_id_that_cannot_be_a_header_is_only_logged(given: str) -> None:
    trace = read(top={"trace_id": given})
    assert trace.header_id == f"{trace.trace_id:032x}"
    assert trace.log_id == given[:128]


@pytest.mark.parametrize(
    "given", [{}, {"attributes": {"traceparent": traceparent(trace_number(1))}}]
)
def test_without_a_trace_id_from_outside_the_traces_own_is_used(given: dict[str, Any]) -> None:
    trace = read(**given)
    assert trace.header_id == trace.log_id == f"{trace.trace_id:032x}"


def test_a_trace_id_is_forwarded_beside_a_traceparent_too(tracing: Tracing) -> None:
    trace = read({"traceparent": traceparent(trace_number(1)), "TraceId": "trace_abc"})
    headers = handed_on(tracing, trace)
    assert (ids(headers)[0], headers["x-trace-id"]) == (trace_number(1), "trace_abc")
