"""Are traces made, sampled and exported?"""

import logging
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from reservation_worker.cli.doctor.protocols import Unreachable, reach, split
from reservation_worker.cli.doctor.result import CheckResult, Known, failure, ok, warning
from reservation_worker.config.settings import Collector, collector

NAME = "traces"
EXPORT_LIMIT = 5
"""How long the export may take, in seconds."""


class _LastMessage(logging.Handler):
    """Keeps the exporter's last log message, because it gives its reasons nowhere else."""

    text = "it gave no reason"

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def traces(known: Known) -> list[CheckResult]:
    """The variables that switch tracing off; DNS, TCP and an empty export to the collector."""
    rows = switched_off(os.environ)
    found = collector(known)
    if found is None:
        detail = "trace context is passed on, but no span is exported: each trace lacks our part"
        advice = "set OTEL_EXPORTER_OTLP_ENDPOINT to the collector, such as http://collector:4317"
        if known["otel_traces_exporter"] == "none":
            advice = "unset OTEL_TRACES_EXPORTER, which is none, unless that is meant"
        return [*rows, warning(NAME, detail, advice)]
    return [*rows, _export(found, proxy_of(found.endpoint, os.environ))]


def proxy_of(endpoint: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The proxy through which gRPC reaches `endpoint`: its variable and URL.

    gRPC reads only the lower-case names; boto3 also reads HTTPS_PROXY and NO_PROXY.
    """
    host, _ = split(endpoint)
    exceptions = environ.get("no_grpc_proxy") or environ.get("no_proxy") or ""
    if any(name.strip() and host.endswith(name.strip()) for name in exceptions.split(",")):
        return None
    names = ("grpc_proxy", "https_proxy", "http_proxy")
    return next(((name, environ[name]) for name in names if environ.get(name)), None)


def switched_off(environ: Mapping[str, str]) -> list[CheckResult]:
    """A warning for each standard variable that switches tracing off."""
    rows = []
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        detail = "OTEL_SDK_DISABLED is true: no spans are made, and traces have a gap here"
        rows.append(warning(NAME, detail, "unset it"))
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    share = environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip()
    if sampler.endswith("always_off") or (sampler.endswith("ratio") and _is_zero(share)):
        detail = f"OTEL_TRACES_SAMPLER is {sampler} {share}".rstrip()
        advice = "set it to parentbased_always_on, which is the default"
        rows.append(
            warning(
                NAME,
                f"{detail}: new traces are not sampled, neither here nor in the neighbours",
                advice,
            )
        )
    return rows


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0
    except ValueError:
        return False


def _export(to: Collector, proxy: tuple[str, str] | None) -> CheckResult:
    from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415

    from reservation_worker.observability.otlp import otlp  # noqa: PLC0415

    through, advice = "", ""
    try:
        if proxy:
            name, url = proxy
            # Leaves out the user and password.
            place = urlsplit(url).netloc.rpartition("@")[2] or "an unreadable URL"
            through = f" through the proxy {place} of {name}"
            advice = "add the collector's host to no_proxy (gRPC reads only the lower-case name); "
            reach(*split(place, 80))
        else:
            reach(*split(to.endpoint))
    except Unreachable as error:
        return failure(
            NAME, f"the collector can't be reached{through}: {error}", f"{advice}{error.advice}"
        )
    last, log = _LastMessage(), logging.getLogger("opentelemetry.exporter.otlp.proto.grpc")
    log.addHandler(last)
    try:
        exporter = otlp(*to, timeout=EXPORT_LIMIT)
        try:
            done = exporter.export([])
        finally:
            exporter.shutdown()
    except Exception as error:  # the SDK raises no class of its own
        return failure(NAME, f"OpenTelemetry: {error}", "check the OTEL_* variables")
    finally:
        log.removeHandler(last)
    if done is SpanExportResult.SUCCESS:
        return ok(NAME, f"the collector at {to.endpoint} accepts spans{through}")
    return failure(
        NAME,
        f"the collector accepts no spans{through}: {last.text}",
        f"{advice}is it OTLP over gRPC (usually port 4317; 4318 is HTTP), TLS as"
        " OTEL_EXPORTER_OTLP_INSECURE says, its CA in SSL_CERT_FILE, and does it want"
        " OTEL_EXPORTER_OTLP_HEADERS?",
    )
