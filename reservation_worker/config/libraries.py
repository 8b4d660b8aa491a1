"""Checks the environment variables of libraries before the libraries are imported.

A wrong value would otherwise end the process with a traceback, or in gRPC's abort().
"""

import re
import ssl
from collections.abc import Mapping, MutableMapping

from reservation_worker.config import parsers
from reservation_worker.config.settings import problem
from reservation_worker.config.variables import Variable

_RESERVED = re.compile(
    # A worker is one process.
    r"(?i:prometheus_multiproc_dir)"
    # Set up by logger.py and tracing.py.
    r"|LOGURU_\w+"
    r"|OTEL_PROPAGATORS"
    r"|OTEL_PYTHON_(?:CONTEXT|ID_GENERATOR|(?:TRACER|METER|LOGGER)_PROVIDER)"
)


def _readable(text: str) -> str:
    try:
        with open(text, "rb"):
            return text
    except (OSError, ValueError):
        raise ValueError("the path of a readable file") from None


def _certificates(text: str) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=text)
    except (OSError, ValueError):
        raise ValueError("the path of a readable PEM file with certificates") from None
    return text


_limit = parsers.whole(0, 2**31 - 1)
_positive = parsers.whole(1, 2**31 - 1)
_polling = parsers.one_of("epoll1", "poll", "all")
_compression = parsers.one_of("gzip", "none")
_OTLP = ("OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_")

CHECKED = (
    Variable("SSL_CERT_FILE", _certificates, "", ""),
    Variable("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", _certificates, "", ""),
    Variable("GRPC_POLL_STRATEGY", _polling, "", ""),
    Variable("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", parsers.one_of("upb", "python"), "", ""),
    *(
        Variable(f"OTEL_{name}_LIMIT", _limit, "", "")
        for name in (
            "ATTRIBUTE_COUNT",
            "ATTRIBUTE_VALUE_LENGTH",
            "SPAN_ATTRIBUTE_COUNT",
            "SPAN_ATTRIBUTE_VALUE_LENGTH",
            "SPAN_EVENT_COUNT",
            "SPAN_LINK_COUNT",
            "EVENT_ATTRIBUTE_COUNT",
            "LINK_ATTRIBUTE_COUNT",
        )
    ),
    *(
        Variable(f"OTEL_BSP_{name}", _positive, "", "")
        for name in (
            "MAX_QUEUE_SIZE",
            "MAX_EXPORT_BATCH_SIZE",
            "SCHEDULE_DELAY",
            "EXPORT_TIMEOUT",
        )
    ),
    *(Variable(f"{start}TIMEOUT", parsers.seconds(86_400_000), "", "") for start in _OTLP),
    *(Variable(f"{start}COMPRESSION", _compression, "", "") for start in _OTLP),
    *(Variable(f"{start}CERTIFICATE", _certificates, "", "") for start in _OTLP),
    *(
        Variable(f"{start}CLIENT_{name}", _readable, "", "")
        for start in _OTLP
        for name in ("KEY", "CERTIFICATE")
    ),
)


def drop_reserved(environ: MutableMapping[str, str]) -> None:
    """Remove the variables that the worker decides for itself."""
    for name in list(filter(_RESERVED.fullmatch, environ)):
        del environ[name]


def drop_wrong(environ: MutableMapping[str, str], sources: Mapping[str, str]) -> list[str]:
    """Remove the values that a library would refuse; returns a sentence on each."""
    found = []
    for variable in CHECKED:
        given = environ.get(variable.name, "").strip()
        if not given:
            continue
        try:
            variable.parse(given)
        except ValueError as wrong:
            source = sources.get(variable.name, "environment")
            found.append(problem(variable, given, source, str(wrong)))
            del environ[variable.name]
    return found


def share_certificates(environ: MutableMapping[str, str]) -> None:
    """Make gRPC (inventory-svc, the collector) trust the CAs that OpenSSL trusts for REST."""
    if bundle := environ.get("SSL_CERT_FILE"):
        environ.setdefault("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", bundle)
