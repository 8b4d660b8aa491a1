"""A tracing whose spans stay in memory."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from reservation_worker.observability.tracing import Tracing
from tests.fake_queue import PATIENCE


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans: InMemorySpanExporter) -> Iterator[Tracing]:
    made = Tracing("pod-1", "reservation-events", SimpleSpanProcessor(spans))
    yield made
    made.shutdown(PATIENCE)
