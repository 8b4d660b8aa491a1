"""Spans reach a real collector by OTLP over gRPC; one that hangs does not hold up the stop."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from reservation_worker.events.parse import TraceHints
from reservation_worker.observability.otlp import exporter
from reservation_worker.observability.tracing import Tracing, read_trace
from tests.fake_queue import PATIENCE

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


class Collector(TraceServiceServicer):
    """Keeps the spans that it receives; a test can make it hang."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.entered = threading.Event()
        self.answering = threading.Event()
        self.answering.set()

    def Export(self, request: ExportTraceServiceRequest, context: Any) -> Any:
        self.entered.set()
        assert self.answering.wait(PATIENCE)
        self.requests.append(request)
        return ExportTraceServiceResponse()

    @property
    def spans(self) -> dict[str, Any]:
        """By name."""
        return {
            span.name: span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }


@pytest.fixture
def collector() -> Collector:
    return Collector()


@pytest.fixture
def address(collector: Collector) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2))
    add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    collector.answering.set()
    server.stop(0).wait(PATIENCE)


def handle_one(tracing: Tracing) -> None:
    trace = read_trace(TraceHints(trace_ids=(TRACE_ID,)), None)
    with (
        tracing.message_span("payment.approved", "rsv_1", "m1", trace),
        tracing.call_span("commit_reservation_grpc", trace),
    ):
        pass


@pytest.mark.parametrize("scheme", ["", "http://"])
def test_the_last_spans_are_exported_by_the_stop(
    collector: Collector, address: str, scheme: str
) -> None:
    tracing = Tracing("pod-1", "q", exporter(scheme + address, insecure=True))
    handle_one(tracing)
    tracing.shutdown(PATIENCE)
    message, call = (
        collector.spans[name] for name in ("handle_payment_approved", "commit_reservation_grpc")
    )
    assert message.trace_id.hex() == call.trace_id.hex() == TRACE_ID
    assert call.parent_span_id == message.span_id
    [resource] = [one.resource for one in collector.requests[0].resource_spans]
    attributes = {one.key: one.value.string_value for one in resource.attributes}
    assert attributes["service.name"] == "reservation-worker"
    assert attributes["service.instance.id"] == "pod-1"


def test_a_collector_that_hangs_holds_up_neither_the_work_nor_the_stop(
    collector: Collector, address: str
) -> None:
    collector.answering.clear()
    tracing = Tracing("pod-1", "q", exporter(address, insecure=True))
    began = time.monotonic()
    handle_one(tracing)
    tracing.shutdown(0.3)
    assert time.monotonic() - began < 5, "the exporter's own timeout is 10 s"
    assert collector.entered.wait(PATIENCE)
    assert collector.requests == []


def test_a_collector_that_is_not_there_holds_up_neither_the_work_nor_the_stop() -> None:
    tracing = Tracing("pod-1", "q", exporter("127.0.0.1:1", insecure=True))
    began = time.monotonic()
    handle_one(tracing)
    tracing.shutdown(0.1)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("name", ["COMPRESSION", "TRACES_COMPRESSION"])
@pytest.mark.parametrize("text", ["gzip", "none"])
def test_every_compression_of_the_standard_gets_through(
    collector: Collector, address: str, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", text)
    tracing = Tracing("pod-1", "q", exporter(address, insecure=True))
    handle_one(tracing)
    tracing.shutdown(PATIENCE)
    assert len(collector.spans) == 2
