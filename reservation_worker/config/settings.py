"""Parses strings into one frozen, checked value.

Pure: reads no file, no environment and no network (sources.py does that).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from reservation_worker.config.variables import VARIABLES, Variable
from reservation_worker.errors import ConfigurationError
from reservation_worker.sqs.identity import FIFO, QueueIdentity, same_queue

STOP_MARGIN = 8
"""Seconds of a stop after the longest poll: giving back, flushing, closing."""


class Collector(NamedTuple):
    """The collector that the traces are exported to: host:port or URL, and whether TLS is off."""

    endpoint: str
    insecure: bool


def collector(known: Mapping[str, Any]) -> Collector | None:
    """The collector by the fields of Settings; None: traces are not exported."""
    endpoint = known["otel_traces_endpoint"] or known["otel_endpoint"]
    if endpoint is None or known["otel_traces_exporter"] == "none":
        return None
    return Collector(endpoint, known["otel_traces_insecure"])


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """All settings, checked; made by `from_mapping`. VARIABLES has the units."""

    aws_region: str
    aws_profile: str | None
    use_secret_manager: bool
    secret_name: str
    sqs_queue_url: str
    sqs_region: str
    sqs_dlq_url: str | None
    sqs_wait_time: int
    worker_concurrency: int
    worker_one_cpu: bool
    max_retries: int
    backoff_base_ms: int
    call_timeout: float
    inventory_grpc_addr: str
    inventory_grpc_tls: bool
    inventory_key_ttl: int
    reservation_api_base: str
    reservation_api_token_file: str | None
    ssl_cert_file: str | None
    otel_traces_exporter: str
    otel_endpoint: str | None
    otel_insecure: bool
    otel_traces_endpoint: str | None
    otel_traces_insecure: bool
    otel_protocol: str
    otel_traces_protocol: str
    log_level: str
    log_format: str | None
    server_host: str
    server_port: int
    debug_endpoints: bool
    grpc_debug_host: str
    grpc_debug_port: int
    grpc_debug_allow_write: bool
    notification_topic_arn: str | None
    shutdown_timeout: float
    pod_name: str
    sources: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @classmethod
    def from_mapping(
        cls, values: Mapping[str, str], sources: Mapping[str, str] | None = None
    ) -> Self:
        """Parse and check `values`; `sources` names where each was set.

        Raises ConfigurationError with every problem at once.
        """
        parsed, problems = inspect(values, sources)
        if problems:
            raise ConfigurationError(list(problems.values()))
        given = (v.name for v in VARIABLES if values.get(v.name, "").strip())
        origin = sources or {}
        return cls(**parsed, sources=tuple((n, origin.get(n, "environment")) for n in given))

    @property
    def queue_name(self) -> str:
        """The name of the queue, by its URL."""
        return QueueIdentity.of_url(self.sqs_queue_url).name

    @property
    def collector(self) -> Collector | None:
        """Where the traces are exported to; None: nowhere."""
        return collector({v.field: getattr(self, v.field) for v in VARIABLES})

    def source_of(self, name: str) -> str:
        """Where `name` was set: option, secret, environment, .env.local, .env, else default."""
        return dict(self.sources).get(name, "default")

    def redacted(self) -> dict[str, str]:
        """Each variable's effective value as text that may be shown to anyone; "" is unset."""
        return {
            v.name: v.show(_as_text(getattr(self, v.field)), self.source_of(v.name))
            for v in VARIABLES
        }

    def explained(self) -> dict[str, dict[str, str | None]]:
        """Each variable's redacted value, None where unset, and its source."""
        return {
            name: {"value": value or None, "source": self.source_of(name)}
            for name, value in self.redacted().items()
        }

    def __repr__(self) -> str:
        shown = self.redacted()
        return f"Settings({', '.join(f'{v.field}={shown[v.name]!r}' for v in VARIABLES)})"


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(value).removesuffix(".0")
    return "" if value is None else str(value)


def inspect(
    values: Mapping[str, str], sources: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Parse `values`: valid ones by field of Settings, a sentence on each wrong one by variable."""
    parsed: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for variable in VARIABLES:
        given = values.get(variable.name, "").strip()
        text = given or variable.default
        if not text and not variable.required:
            parsed[variable.field] = None
            continue
        try:
            parsed[variable.field] = variable.parse(text)
        except ValueError as wrong:
            source = (sources or {}).get(variable.name, "environment")
            problems[variable.name] = problem(variable, given, source, str(wrong))
    parsed["sqs_region"] = parsed.get("sqs_region") or parsed.get("aws_region")
    endpoint = parsed.get("otel_traces_endpoint") or parsed.get("otel_endpoint") or ""
    if parsed.get("otel_insecure") is None:
        parsed["otel_insecure"] = not endpoint.lower().startswith("https:")
    if parsed.get("otel_traces_insecure") is None:
        parsed["otel_traces_insecure"] = parsed["otel_insecure"]
    if parsed.get("pod_name") is None:
        machine = values.get("HOSTNAME", "").strip()
        parsed["pod_name"] = machine if machine and machine.isprintable() else "unknown"
    return parsed, problems | _conflicts(parsed)


def problem(variable: Variable, given: str, source: str, expected: str) -> str:
    """The sentence on a wrong value; `expected` finishes "it must be ..."."""
    if not given:
        return f"{variable.name} is not set: set it to {expected}."
    shown = variable.show(given, source)
    shown = shown if len(shown) <= 200 else shown[:200] + "…"
    place = source if source.startswith(".env") else f"the {source}"
    return f"{variable.name} is {shown!r} in {place}, but it must be {expected}: correct it there."


def _conflicts(parsed: Mapping[str, Any]) -> dict[str, str]:
    """Values that are valid alone but not together; compares only those that could be parsed."""
    problems: dict[str, str] = {}
    stop, wait = parsed.get("shutdown_timeout"), parsed.get("sqs_wait_time")
    if stop is not None and wait is not None and stop < wait + STOP_MARGIN:
        lower = math.floor(stop) - STOP_MARGIN
        other = f", or SQS_WAIT_TIME to at most {lower}" if lower >= 0 else ""
        problems["SHUTDOWN_TIMEOUT"] = (
            f"SHUTDOWN_TIMEOUT is {_as_text(stop)} s and SQS_WAIT_TIME is {wait} s: a long poll "
            "could outlast the stop; set SHUTDOWN_TIMEOUT to at least "
            f"{wait + STOP_MARGIN}{other}."
        )
    port = parsed.get("server_port")
    if port and port == parsed.get("grpc_debug_port"):
        problems["SERVER_PORT"] = (
            f"SERVER_PORT and GRPC_DEBUG_PORT are both {port}: two servers cannot share a port; "
            "change one of them (0 takes any free port)."
        )
    for name in ("SQS_QUEUE_URL", "SQS_DLQ_URL"):
        if QueueIdentity.of_url(parsed.get(name.lower()) or "").fifo:
            problems[name] = f"{name} is a FIFO queue: {FIFO}; name a standard queue."
    queue, dead = parsed.get("sqs_queue_url"), parsed.get("sqs_dlq_url")
    if queue and dead and same_queue(queue, dead):
        problems["SQS_DLQ_URL"] = (
            "SQS_DLQ_URL is the same queue as SQS_QUEUE_URL: a dead letter would come back at "
            "once; name another queue, or unset it to use the queue's redrive policy."
        )
    return problems
