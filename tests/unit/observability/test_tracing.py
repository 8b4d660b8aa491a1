"""Spans, sampling, switching off and the stop."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from reservation_worker.config import redaction
from reservation_worker.errors import TransientError
from reservation_worker.events.parse import TraceHints
from reservation_worker.observability.tracing import Tracing, mark_failed, read_trace
from tests.fake_queue import PATIENCE
from tests.unit.observability.traces import (
    PARENT,
    handed_on,
    ids,
    read,
    trace_number,
    traceparent,
    xray,
)


@pytest.mark.parametrize(
    ("event_type", "name"),
    [
        ("reservation.expired", "handle_reservation_expired"),
        ("payment.approved", "handle_payment_approved"),
        ("payment.failed", "handle_payment_failed"),
    ],
)
def test_a_message_has_a_span_with_its_facts(
    tracing: Tracing, spans: InMemorySpanExporter, event_type: str, name: str
) -> None:
    trace = read({"traceparent": traceparent(trace_number(1))})
    with tracing.message_span(event_type, "rsv_1", "m1", trace):
        pass
    [span] = spans.get_finished_spans()
    assert (span.name, span.kind) == (name, SpanKind.CONSUMER)
    assert dict(span.attributes or {}) == {
        "event.type": event_type,
        "reservation.id": "rsv_1",
        "messaging.system": "aws_sqs",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "reservation-events",
        "messaging.message.id": "m1",
    }
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == PARENT
    assert span.resource.attributes["service.name"] == "reservation-worker"
    assert span.resource.attributes["service.instance.id"] == "pod-1"


def test_a_call_is_a_child_of_its_message_and_the_parent_of_the_neighbours_spans(
    tracing: Tracing, spans: InMemorySpanExporter
) -> None:
    headers = handed_on(tracing, read())
    call, message = spans.get_finished_spans()
    assert (call.name, call.kind) == ("update_status_http", SpanKind.CLIENT)
    assert call.parent is not None
    assert call.parent.span_id == message.context.span_id
    assert call.context.trace_id == message.context.trace_id
    assert ids(headers)[:2] == (
        f"{call.context.trace_id:032x}",
        f"{call.context.span_id:016x}",
    )


def test_a_trace_id_without_a_parent_makes_the_messages_span_the_root(
    tracing: Tracing, spans: InMemorySpanExporter
) -> None:
    handed_on(tracing, read({"TraceId": trace_number(4)}))
    message = spans.get_finished_spans()[1]
    assert message.parent is None
    assert f"{message.context.trace_id:032x}" == trace_number(4)


def test_a_span_that_ended_in_an_error_carries_the_reason(
    tracing: Tracing, spans: InMemorySpanExporter
) -> None:
    with tracing.message_span("payment.failed", "rsv_1", "m1", read()) as span:
        mark_failed(span, "seats gone")
    [finished] = spans.get_finished_spans()
    assert finished.status.status_code is StatusCode.ERROR
    assert finished.status.description == "seats gone"


@pytest.mark.parametrize("where", ["the call", "the handler", "the reason"])
def test_no_span_shows_the_token_that_an_error_or_its_cause_quotes(
    tracing: Tracing, spans: InMemorySpanExporter, where: str
) -> None:
    token = "the-token-of-reservation-api"
    redaction.hide(token)

    def fail() -> None:
        try:
            raise ValueError(f"BadStatusLine: Authorization: Bearer {token}")
        except ValueError as cause:
            raise TransientError(f"echoed {token}") from cause

    trace = read()
    message_span = tracing.message_span("reservation.expired", "rsv_1", "m1", trace)
    with suppress(TransientError), message_span as span:
        if where == "the call":
            with tracing.call_span("release_hold_grpc", trace):
                fail()
        elif where == "the handler":
            fail()
        else:
            mark_failed(span, f"refused: {token}")
    for ended in spans.get_finished_spans():
        assert ended.status.status_code is StatusCode.ERROR
        assert token not in ended.to_json()
    if where != "the reason":
        (event,) = spans.get_finished_spans()[0].events
        assert "BadStatusLine: Authorization: ***" in str(event.attributes)


def test_messages_on_many_threads_do_not_mix_their_traces(
    tracing: Tracing, spans: InMemorySpanExporter
) -> None:
    traces = [read({"TraceId": f"{number:032x}"}) for number in range(1, 101)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda trace: ids(handed_on(tracing, trace))[0], traces))
    assert found == [f"{number:032x}" for number in range(1, 101)]
    by_id = {span.context.span_id: span for span in spans.get_finished_spans()}
    calls = [span for span in by_id.values() if span.parent]
    assert len(calls) == 100
    for call in calls:
        assert by_id[call.parent.span_id].context.trace_id == call.context.trace_id


# Sampling and switching off: the trace is still propagated.


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ({"attributes": {"traceparent": traceparent(trace_number(1), "01")}}, "01"),
        ({"attributes": {"traceparent": traceparent(trace_number(1), "00")}}, "00"),
        ({"header": xray(trace_number(1), "1")}, "01"),
        ({"header": xray(trace_number(1), "0")}, "00"),
        ({"attributes": {"traceparent": traceparent(trace_number(1), "03")}}, "01"),
        # A root of our own: the SDK sets the random flag too, which Go's SDK rejects.
        ({}, "01"),
    ],
)
def test_the_sampled_flag_is_handed_on_and_no_other(
    tracing: Tracing, spans: InMemorySpanExporter, given: dict[str, Any], flags: str
) -> None:
    assert ids(handed_on(tracing, read(**given)))[2] == flags
    assert len(spans.get_finished_spans()) == (2 if flags == "01" else 0)
    assert ids(handed_on(Tracing("pod-1", "q"), read(**given)))[2] == flags


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_SAMPLER", "always_off")]
)
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"attributes": {"TraceId": trace_number(4)}},
        {"attributes": {"traceparent": traceparent(trace_number(1), "00")}},
        {"header": xray(trace_number(7), "0")},
    ],
)
def test_with_tracing_switched_off_a_valid_traceparent_is_still_handed_on(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    trace = read(**given)
    trace_id, span_id, flags = ids(handed_on(Tracing("pod-1", "q"), trace))
    assert trace_id == f"{trace.trace_id:032x}"
    assert int(span_id, 16) > 0
    assert flags == "00"


def test_with_the_sdk_disabled_the_sampled_flag_from_outside_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    trace = read({"traceparent": traceparent(trace_number(1), "01")})
    assert ids(handed_on(Tracing("pod-1", "q"), trace))[2] == "01"


def test_without_an_exporter_the_trace_is_handed_on() -> None:
    trace = read({"TraceId": trace_number(4)})
    assert ids(handed_on(Tracing("pod-1", "q"), trace))[0] == trace_number(4)


def test_without_an_exporter_each_call_of_a_message_has_its_own_span_id() -> None:
    tracing, trace = Tracing("pod-1", "q"), read()
    with tracing.message_span("reservation.expired", "rsv_1", "m1", trace):
        with tracing.call_span("one", trace) as headers:
            one = ids(dict(headers))
        with tracing.call_span("two", trace) as headers:
            two = ids(dict(headers))
    assert one[0] == two[0] == f"{trace.trace_id:032x}"
    assert one[1] != two[1]


@pytest.mark.parametrize("sampler", ["always_on", "traceidratio", "parentbased_traceidratio"])
@pytest.mark.parametrize("flags", ["00", "01"])
def test_the_samplers_decision_is_the_same_with_and_without_an_exporter(
    monkeypatch: pytest.MonkeyPatch, spans: InMemorySpanExporter, sampler: str, flags: str
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    with_one, without = Tracing("p", "q", SimpleSpanProcessor(spans)), Tracing("p", "q")
    for number in range(1, 9):
        trace = read({"traceparent": traceparent(trace_number(number), flags)})
        assert ids(handed_on(without, trace))[2] == ids(handed_on(with_one, trace))[2]
    with_one.shutdown(PATIENCE)


def test_empty_hints_start_a_trace() -> None:
    assert read_trace(TraceHints(), None).trace_id > 0


# The stop.


class Hanging(SpanProcessor):
    def __init__(self) -> None:
        self.entered = threading.Event()
        self.released = threading.Event()

    def on_end(self, span: ReadableSpan) -> None: ...

    def shutdown(self) -> None:
        self.entered.set()
        self.released.wait(PATIENCE)


def test_a_shutdown_that_hangs_is_not_waited_for_beyond_its_limit() -> None:
    processor = Hanging()
    tracing = Tracing("pod-1", "q", processor)
    ending = threading.Thread(target=tracing.shutdown, args=(0.02,), daemon=True)
    ending.start()
    ending.join(PATIENCE / 2)
    assert not ending.is_alive()
    assert processor.entered.wait(PATIENCE)
    processor.released.set()


def test_a_second_shutdown_is_safe(tracing: Tracing) -> None:
    tracing.shutdown(PATIENCE)
    tracing.shutdown(PATIENCE)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"OTEL_SERVICE_NAME": "tickets"}, {"service.name": "tickets"}),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=tickets,service.instance.id=7,team=a%20b"},
            {"service.name": "tickets", "service.instance.id": "7", "team": "a b"},
        ),
        (
            {"OTEL_SERVICE_NAME": "x", "OTEL_RESOURCE_ATTRIBUTES": "service.name=y,k=v"},
            {"service.name": "x", "service.instance.id": "pod-1", "k": "v"},
        ),
        ({}, {"service.name": "reservation-worker", "service.instance.id": "pod-1"}),
    ],
)
def test_the_resource_is_named_by_the_standard_variables_before_ours(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], expected: dict[str, str]
) -> None:
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    spans = InMemorySpanExporter()
    tracing = Tracing("pod-1", "reservation-events", SimpleSpanProcessor(spans))
    handed_on(tracing, read())
    tracing.shutdown(PATIENCE)
    attributes = spans.get_finished_spans()[0].resource.attributes
    assert expected.items() <= attributes.items()
