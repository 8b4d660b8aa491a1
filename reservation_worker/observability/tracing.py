"""OpenTelemetry: a message's trace context and its spans."""

import re
import secrets
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.propagators.aws import AwsXRayPropagator
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from reservation_worker import __version__
from reservation_worker.config.redaction import Redactor
from reservation_worker.events.parse import TraceHints

MAX_TRACE_ID = 128
"""The longest forwarded trace id from outside, in characters (docs/contract.md#trace-context)."""

_redact = Redactor({})
_W3C = TraceContextTextMapPropagator()
_XRAY = AwsXRayPropagator()
_XRAY_ROOT = re.compile(r"(?i:(?:^|;)\s*root=1-([0-9a-f]{8})-([0-9a-f]{24})\s*(?:;|$))")
_chosen_trace_id: ContextVar[int | None] = ContextVar("chosen_trace_id", default=None)


class _Ids(RandomIdGenerator):
    """Random ids, except that a root span takes the trace id that came with the message."""

    def generate_trace_id(self) -> int:
        return _chosen_trace_id.get() or super().generate_trace_id()


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace of one message: its parent, and its id in spans, x-trace-id and the log."""

    parent: Context
    trace_id: int
    header_id: str
    log_id: str


def read_trace(hints: TraceHints, xray_header: str | None) -> Trace:
    """The first valid trace context of a message (docs/contract.md#trace-context)."""
    parent, trace_id = _parent(hints, xray_header)
    # gRPC refuses other metadata locally, and that would look like a failing neighbour.
    own = f"{trace_id:032x}"
    header_id = next((given for given in hints.trace_ids if _can_be_a_header(given)), own)
    return Trace(parent, trace_id, header_id, next(iter(hints.trace_ids), own)[:MAX_TRACE_ID])


def _parent(hints: TraceHints, xray_header: str | None) -> tuple[Context, int]:
    for traceparent in hints.traceparents:
        found = _W3C.extract({"traceparent": traceparent}, Context())
        span = otel.get_current_span(found).get_span_context()
        if span.is_valid:
            return found, span.trace_id
    for trace_id in hints.trace_ids:
        if len(trace_id) == 32 and set(trace_id) <= set("0123456789abcdefABCDEF"):
            number = int(trace_id, 16)
            if number:
                return Context(), number
    if xray_header:
        found = _XRAY.extract({"X-Amzn-Trace-Id": xray_header}, Context())
        span = otel.get_current_span(found).get_span_context()
        if span.is_valid:
            return found, span.trace_id
        # The propagator needs all three fields; a load balancer sends Root alone, and Sampled=?
        # leaves the decision to us.
        root = _XRAY_ROOT.search(xray_header)
        if root and (number := int(root[1] + root[2], 16)):
            return Context(), number
    return Context(), RandomIdGenerator().generate_trace_id()


def _can_be_a_header(trace_id: str) -> bool:
    # HTTP/2 forbids blanks around a value: a strict peer refuses the whole call.
    plain = trace_id.isascii() and trace_id.isprintable() and trace_id == trace_id.strip()
    return plain and 0 < len(trace_id) <= MAX_TRACE_ID


class _Resource(Resource):
    """Hashed once: the exporter hashes it for every span, and the SDK's hash serializes it."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource.attributes, resource.schema_url)
        self._known_hash = super().__hash__()

    def __hash__(self) -> int:
        return self._known_hash


class _Unrecorded(otel.NoOpTracer):
    """For spans that are not exported: makes ids and asks the sampler, but records nothing.

    Recording is two thirds of a span's cost.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._sampler = provider.sampler
        self._ids = provider.id_generator

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        *_: Any,
        **__: Any,
    ) -> otel.Span:
        parent = otel.get_current_span(context).get_span_context()
        flags, trace_id = parent.trace_flags, parent.trace_id
        if parent.is_remote or not parent.is_valid:
            trace_id = trace_id if parent.is_valid else self._ids.generate_trace_id()
            decision = self._sampler.should_sample(context, trace_id, name, kind).decision
            sampled = decision is Decision.RECORD_AND_SAMPLE
            flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
        return otel.NonRecordingSpan(
            SpanContext(trace_id, self._ids.generate_span_id(), False, flags)
        )


class Tracing:
    """The spans of the contract. Without a processor they are propagated but not recorded."""

    def __init__(
        self, pod_name: str, queue_name: str, processor: SpanProcessor | None = None
    ) -> None:
        # The SDK chooses the sampler by the standard OTEL_* variables; of the resource those that
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES name win over ours.
        ours = {
            "service.name": "reservation-worker",
            "service.version": __version__,
            "service.instance.id": pod_name,
        }
        given = OTELResourceDetector().detect().attributes
        self._provider = TracerProvider(
            resource=_Resource(Resource.create({**ours, **given})),
            id_generator=_Ids(),
            shutdown_on_exit=False,
        )
        self._queue_name = queue_name
        self._tracer = self._provider.get_tracer("reservation_worker", __version__)
        if processor is not None:
            self._provider.add_span_processor(processor)
        elif not isinstance(self._tracer, otel.NoOpTracer):  # OTEL_SDK_DISABLED
            self._tracer = _Unrecorded(self._provider)

    @contextmanager
    def message_span(
        self, event_type: str, reservation_id: str, message_id: str, trace: Trace
    ) -> Iterator[otel.Span]:
        """The span of one handler run, named after the event's type."""
        token = _chosen_trace_id.set(trace.trace_id)
        try:
            span = self._tracer.start_span(
                f"handle_{event_type.replace('.', '_')}",
                context=trace.parent,
                kind=SpanKind.CONSUMER,
                attributes={
                    "event.type": event_type,
                    "reservation.id": reservation_id,
                    "messaging.system": "aws_sqs",
                    "messaging.operation.name": "process",
                    "messaging.operation.type": "process",
                    "messaging.destination.name": self._queue_name,
                    "messaging.message.id": message_id,
                },
            )
        finally:
            _chosen_trace_id.reset(token)
        # An error is recorded here, because use_span would record its secrets, too.
        with otel.use_span(
            span, end_on_exit=True, record_exception=False, set_status_on_exception=False
        ):
            try:
                yield span
            except Exception as error:
                _record(span, error)
                raise

    @contextmanager
    def call_span(self, name: str, trace: Trace) -> Iterator[tuple[tuple[str, str], ...]]:
        """The span of one call; yields the headers that propagate the trace."""
        span = self._tracer.start_span(name, kind=SpanKind.CLIENT)
        try:
            context = span.get_span_context()
            if not context.is_valid:  # OTEL_SDK_DISABLED: the trace is still propagated
                context = SpanContext(
                    trace.trace_id, secrets.randbits(64) or 1, False, TraceFlags(0)
                )
            # Only the sampled flag, because OpenTelemetry for Go drops the whole context on the
            # newer random flag (03).
            flags = context.trace_flags & TraceFlags.SAMPLED
            traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"
            yield (("traceparent", traceparent), ("x-trace-id", trace.header_id))
        except Exception as error:
            _record(span, error)
            raise
        finally:
            span.end()

    def shutdown(self, timeout: float) -> None:
        """Export the remaining spans, for at most `timeout` seconds: a collector may hang."""
        thread = threading.Thread(target=self._provider.shutdown, name="telemetry", daemon=True)
        with suppress(RuntimeError):  # no thread can be started: the spans are lost
            thread.start()
            thread.join(timeout)


def mark_failed(span: otel.Span, reason: str) -> None:
    """Mark a span as ended in an error."""
    span.set_status(Status(StatusCode.ERROR, _redact(reason)))


def _record(span: otel.Span, error: Exception) -> None:
    """Record an error and its causes, which may quote an answer that echoes the token."""
    if span.is_recording():
        text = "".join(traceback.format_exception(error))
        span.record_exception(
            error,
            {"exception.message": _redact(str(error)), "exception.stacktrace": _redact(text)},
        )
        mark_failed(span, f"{type(error).__name__}: {error}")
