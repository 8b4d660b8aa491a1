"""The shape of every JSON answer on SERVER_PORT, and a check of an answer against its shape."""

from types import UnionType
from typing import Any, get_args

COUNT = int
ERROR = {"error": str}
CHECK = {"name": str, "ok": bool, "detail": str}
PROBE = {
    "status": {"ok", "fail"},
    "failing": [str],
    "checks": {str: {"ok": bool, "detail": str}},
}
CONFIG = {
    str: {
        "value": str | None,
        "source": {"secret", "environment", ".env.local", ".env", "default"},
    }
}
OUTCOMES = dict.fromkeys(("success", "dropped", "retried", "failed", "invalid_payload"), COUNT)
WINDOW = {
    "seconds": float,
    "settled": COUNT,
    "dead_lettered": COUNT,
    "retried": COUNT,
    "settled_per_second": float | None,
    "latency_p50_ms": float | None,
    "latency_p95_ms": float | None,
    "latency_p99_ms": float | None,
    "oldest_age_seconds": float | None,
}
FINDINGS = {"attention", "starting", "draining", "critical", "not_ready", "failing"}
STATUS = {
    "condition": {"ok", *FINDINGS},
    "findings": [
        {
            "condition": FINDINGS,
            "title": str,
            "detail": str,
            "advice": str,
        }
    ],
    "worker": {
        "queue_name": str,
        "region": str,
        "pod_name": str,
        "version": str,
        "now": float,
        "started_at": float,
        "uptime_seconds": float,
        "draining": bool,
    },
    "checks": {"health": [CHECK], "ready": [CHECK]},
    "outcomes": {
        "settled": COUNT,
        "by_type": {str: OUTCOMES},
    },
    "last_minute": WINDOW,
    "last_5_minutes": WINDOW,
    "last_15_minutes": WINDOW,
    "pool": dict.fromkeys(("threads", "threads_busy", "slots", "in_flight", "waiting"), COUNT),
    "breakers": [
        {
            "neighbour": str,
            "state": {"closed", "half_open", "open"},
            "retry_in_seconds": float,
            "in_flight_limit": COUNT | None,
        }
    ],
    "queue": {
        "visible": COUNT | None,
        "in_flight": COUNT | None,
        "delayed": COUNT | None,
        "read_seconds_ago": float | None,
        "problem": str | None,
    },
    "dead_letters": {
        "depth": COUNT | None,
        "by_reason": {
            "invalid_payload": COUNT,
            "permanent_error": COUNT,
            "retries_exhausted": COUNT,
            "compensation_required": COUNT,
        },
        "in_window": COUNT,
        "unsent": COUNT,
        "last_seconds_ago": float | None,
    },
    "polling": {
        "receives_with_messages": COUNT,
        "receives_empty": COUNT,
        "errors": COUNT,
        "errors_in_a_row": COUNT,
    },
    "leases": {
        "open": COUNT,
        "renewed": COUNT,
        "renewal_failures": COUNT,
        "lost": COUNT,
        "visibility_seconds": COUNT,
    },
    "failures": [
        {
            "at": float,
            "outcome": {"retried", "failed", "invalid_payload"},
            "reason": str | None,
            "error": str | None,
            "event_type": str | None,
            "reservation_id": str | None,
            "event_id": str | None,
            "message_id": str | None,
            "trace_id": str | None,
            "attempt": COUNT,
            "duration_ms": float,
        }
    ],
    "series": {
        "at": [float],
        "seconds": [float],
        "settled": [COUNT],
        "dead_lettered": [COUNT],
        "retried": [COUNT],
        "latency_p50_ms": [float | None],
        "latency_p95_ms": [float | None],
        "in_flight": [COUNT],
        "threads_busy": [COUNT],
        "oldest_age_seconds": [float | None],
    },
}

# By path: content type, and the shape if it is JSON.
ANSWERS: dict[str, tuple[str, Any]] = {
    "/": ("text/html", None),
    "/api/v1/status": ("application/json", STATUS),
    "/api/v1/config": ("application/json", CONFIG),
    "/health": ("application/json", PROBE),
    "/healthz": ("application/json", PROBE),
    "/ready": ("application/json", PROBE),
    "/readyz": ("application/json", PROBE),
    "/metrics": ("text/plain", None),
}


def check(answer: Any, shape: Any, at: str = "answer") -> None:
    """Raises AssertionError, with the place, unless `answer` has exactly `shape`.

    A shape is a type (numbers are not negative; float takes whole numbers, too), a union of types,
    a set of texts, [shape of each item], {name: shape} or {str: shape of each value}.
    """
    match shape:
        case dict():
            assert isinstance(answer, dict), at
            if str not in shape:
                assert set(answer) == set(shape), f"{at}: {set(answer) ^ set(shape)}"
            for name, value in answer.items():
                check(value, shape.get(name, shape.get(str)), f"{at}.{name}")
        case list():
            assert isinstance(answer, list), at
            for index, item in enumerate(answer):
                check(item, shape[0], f"{at}[{index}]")
        case set():
            assert answer in shape, f"{at}: {answer!r}"
        case _:
            kinds = get_args(shape) if isinstance(shape, UnionType) else (shape,)
            kinds = (*kinds, int) if float in kinds else kinds
            # A bool is an int in Python, but not a number in JSON.
            assert type(answer) in kinds, f"{at}: {answer!r}"
            assert type(answer) not in (int, float) or answer >= 0, f"{at}: {answer!r}"


def names(shape: Any) -> set[str]:
    """Every field's name in `shape`."""
    if isinstance(shape, list):
        return names(shape[0])
    if not isinstance(shape, dict):
        return set()
    found = {name for name in shape if isinstance(name, str)}
    return found.union(*(names(value) for value in shape.values()))
