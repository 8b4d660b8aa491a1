"""Do traces link: are they made, sampled and exported?"""

import logging
import os
from collections.abc import Mapping

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from reservation_worker.cli.doctor.network import Unreachable, reach, split
from reservation_worker.cli.doctor.verdict import Check, Known, Row, good, odd, wrong

NAME = "traces"
EXPORT_LIMIT = 5
"""How long the export may take, in seconds."""


class _LastWords(logging.Handler):
    """The exporter says why it failed in its log only."""

    text = "it gave no reason"

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def traces(known: Known) -> list[Row]:
    """What the variables switch off, then the collector: DNS, TCP, an export of no spans."""
    rows = switched_off(os.environ)
    endpoint = known["otel_endpoint"]
    if endpoint is None:
        detail = "trace context is handed on, nothing is exported: our spans are missing between"
        advice = (
            "set OTEL_EXPORTER_OTLP_ENDPOINT to the collector, for example http://collector:4317"
        )
        return [*rows, odd(NAME, f"{detail} the neighbours'", advice)]
    return [*rows, _export(endpoint, known["otel_insecure"])]


def switched_off(environ: Mapping[str, str]) -> list[Row]:
    """What the standard variables do to tracing."""
    rows = []
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        detail = "OTEL_SDK_DISABLED is true: no spans are made, traces have a gap here"
        rows.append(odd(NAME, detail, "unset it"))
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    share = environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip()
    if sampler.endswith("always_off") or (sampler.endswith("ratio") and _is_zero(share)):
        detail = f"OTEL_TRACES_SAMPLER is {sampler} {share}".rstrip()
        advice = "set it to parentbased_always_on, which is the default"
        rows.append(odd(NAME, f"{detail}: new traces are not sampled, here and behind us", advice))
    return rows


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0
    except ValueError:
        return False


def _export(endpoint: str, insecure: bool) -> Row:
    try:
        reach(*split(endpoint))
    except Unreachable as error:
        return wrong(NAME, f"the collector can't be reached: {error}", error.advice)
    words, log = _LastWords(), logging.getLogger("opentelemetry.exporter.otlp.proto.grpc")
    log.addHandler(words)
    try:
        exporter = OTLPSpanExporter(endpoint=endpoint, insecure=insecure, timeout=EXPORT_LIMIT)
        try:
            done = exporter.export([])
        finally:
            exporter.shutdown()
    except Exception as error:  # the SDK has no error of its own for it
        return wrong(NAME, f"OpenTelemetry: {error}", "check the OTEL_* variables")
    finally:
        log.removeHandler(words)
    if done is SpanExportResult.SUCCESS:
        return good(NAME, f"the collector at {endpoint} takes them")
    return wrong(
        NAME,
        f"the collector takes no spans: {words.text}",
        "is it OTLP over gRPC (usually port 4317; 4318 is HTTP), TLS as OTEL_EXPORTER_OTLP_INSECURE"
        " says, and does it want OTEL_EXPORTER_OTLP_HEADERS?",
    )


CHECK = Check(NAME, ("otel_endpoint", "otel_insecure"), traces)
