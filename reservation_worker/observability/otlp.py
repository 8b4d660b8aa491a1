"""The export of spans by OTLP over gRPC."""

import os
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor

from reservation_worker.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter


def exporter(endpoint: str, insecure: bool) -> SpanProcessor:
    """Export by OTLP over gRPC in the background: bounded queue, surplus spans are dropped.

    The SDK reads the other OTEL_EXPORTER_OTLP_* and OTEL_BSP_* variables. Raises
    ConfigurationError for those that it refuses.
    """
    try:
        # Not needed without a collector, and 2 MB large.
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        return BatchSpanProcessor(otlp(endpoint, insecure))
    except Exception as error:  # the SDK has no error of its own for it
        # Some have no useful text: StopIteration, or KeyError with the name alone.
        said = f"{type(error).__name__}: {error}".rstrip(": ")
        raise ConfigurationError(
            [f"OpenTelemetry refuses its settings ({said}): check the OTEL_* variables."]
        ) from error


def otlp(endpoint: str, insecure: bool, timeout: float | None = None) -> "OTLPSpanExporter":
    """The SDK's exporter; `timeout` in seconds, None: the SDK's own. Raises what the SDK raises."""
    import grpc  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )

    names = ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION")
    chosen = next((os.environ[name] for name in names if name in os.environ), "none")
    # The standard knows `none`; the SDK refuses it.
    compression = grpc.Compression.Gzip if chosen == "gzip" else grpc.Compression.NoCompression
    return OTLPSpanExporter(
        endpoint=endpoint, insecure=insecure, timeout=timeout, compression=compression
    )
