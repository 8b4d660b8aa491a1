"""Traces from outside, and those that calls are given."""

import json
import re
from typing import Any

from reservation_worker.events.parse import Event, parse
from reservation_worker.observability.tracing import Trace, Tracing, read_trace

PARENT = "b7ad6b7169203331"
TRACEPARENT = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


def trace_number(number: int) -> str:
    return f"{number:x}" * 32


def traceparent(trace_id: str, flags: str = "01") -> str:
    return f"00-{trace_id}-{PARENT}-{flags}"


def xray(trace_id: str, sampled: str = "1") -> str:
    return f"Root=1-{trace_id[:8]}-{trace_id[8:]};Parent={PARENT};Sampled={sampled}"


def read(
    attributes: dict[str, str] | None = None,
    top: dict[str, Any] | None = None,
    detail: dict[str, Any] | None = None,
    header: str | None = None,
) -> Trace:
    """The trace of a message that carries these."""
    body = {"type": "reservation.expired", "detail": {"reservation_id": "rsv_1"} | (detail or {})}
    event = parse(json.dumps(body | (top or {})), attributes or {})
    assert isinstance(event, Event)
    return read_trace(event.trace, header)


def handed_on(tracing: Tracing, trace: Trace) -> dict[str, str]:
    """The headers of a call made for a message with this trace."""
    with (
        tracing.message_span("reservation.expired", "rsv_1", "m1", trace),
        tracing.call_span("update_status_http", trace) as headers,
    ):
        return dict(headers)


def ids(headers: dict[str, str]) -> tuple[str, str, str]:
    """Trace id, span id and flags of a propagated traceparent."""
    match = TRACEPARENT.fullmatch(headers["traceparent"])
    assert match, headers
    return match[1], match[2], match[3]
