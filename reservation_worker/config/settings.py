"""Settings: strings in, one frozen and checked value out.

Pure: reads no file, no environment and no network (sources.py does that). VARIABLES is the one
table: parsing, `.env.example`, the README's table and the `config` verb are all made from it.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from reservation_worker.config import parsers
from reservation_worker.config.redaction import HIDDEN
from reservation_worker.errors import ConfigurationError
from reservation_worker.sqs.identity import FIFO, QueueIdentity, same_queue

# What a stop takes beside the longest poll: giving back, flushing, closing (seconds).
STOP_MARGIN = 8


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable. `default` is its text; "" is none, or one that is derived."""

    name: str
    parse: Callable[[str], object]
    default: str
    description: str
    alias: str = ""
    required: bool = False

    @property
    def field(self) -> str:
        """Its field in Settings."""
        return self.alias or self.name.lower()

    def show(self, text: str, source: str) -> str:
        """`text` for human eyes: nothing of the secret, no user, password or query of a URL."""
        if source == "secret" and text:
            return HIDDEN
        if "://" in text or self.parse in (
            parsers.queue_url,
            parsers.base_url,
            parsers.endpoint,
            parsers.address,
        ):
            # Up to the *last* @, so that a password with a / or an @ in it is covered too.
            text = re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://)?.*@", rf"\1{HIDDEN}@", text, flags=re.S)
            text = re.sub(r"[?#].*", f"?{HIDDEN}", text, flags=re.S)
        return text


VARIABLES = (
    Variable("AWS_REGION", parsers.region, "ap-northeast-2", "AWS region"),
    Variable("AWS_PROFILE", parsers.text_line, "", "profile of ~/.aws to use"),
    Variable(
        "USE_SECRET_MANAGER", parsers.switch, "false", "whether to read the secret named next"
    ),
    Variable(
        "SECRET_NAME",
        parsers.text_line,
        "traffictacos/reservation-worker",
        "name or ARN of the secret",
    ),
    Variable(
        "SQS_QUEUE_URL",
        parsers.queue_url,
        "",
        "queue to work on, https://sqs.ap-northeast-2.amazonaws.com/123456789012/name",
        required=True,
    ),
    Variable("SQS_REGION", parsers.region, "", "region of the queue; unset: AWS_REGION"),
    Variable(
        "SQS_DLQ_URL",
        parsers.queue_url,
        "",
        "dead-letter queue; unset: the queue's own redrive policy",
    ),
    Variable("SQS_WAIT_TIME", parsers.whole(0, 20), "20", "longest poll, in seconds"),
    Variable("WORKER_CONCURRENCY", parsers.whole(1, 1000), "20", "events handled at the same time"),
    Variable(
        "WORKER_ONE_CPU",
        parsers.switch,
        "true",
        "whether all threads keep to one CPU, the least busy: an event takes less CPU time",
    ),
    Variable("MAX_RETRIES", parsers.whole(0, 100), "5", "tries of an event after the first"),
    Variable(
        "BACKOFF_BASE_MS",
        parsers.whole(1, 900_000),
        "1000",
        "first retry's delay in ms; it doubles",
    ),
    Variable("CALL_TIMEOUT", parsers.seconds(300), "10", "limit of one call, in seconds"),
    Variable(
        "INVENTORY_GRPC_ADDR", parsers.address, "inventory-svc:8021", "host:port of inventory-svc"
    ),
    Variable("INVENTORY_GRPC_TLS", parsers.switch, "false", "whether inventory-svc speaks TLS"),
    Variable(
        "RESERVATION_API_BASE",
        parsers.base_url,
        "http://reservation-api:8010",
        "URL of reservation-api",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        parsers.endpoint,
        "",
        "collector, http://host:4317 or host:4317; unset: no traces are sent",
        "otel_endpoint",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_INSECURE",
        parsers.switch,
        "",
        "no TLS to the collector; unset: true unless its URL is https",
        "otel_insecure",
    ),
    Variable("OTEL_EXPORTER_OTLP_PROTOCOL", parsers.protocol, "grpc", "only grpc", "otel_protocol"),
    Variable("LOG_LEVEL", parsers.level, "info", "debug, info, warn or error"),
    Variable("SERVER_HOST", parsers.host, "0.0.0.0", "address the HTTP server listens on"),  # noqa: S104 -- probes come from outside the pod
    Variable("SERVER_PORT", parsers.port, "8040", "probes and metrics; 0: any free port"),
    Variable(
        "DEBUG_ENDPOINTS",
        parsers.switch,
        "false",
        "whether profiles and threads are shown under /debug, to callers on this machine",
    ),
    Variable(
        "GRPC_DEBUG_HOST", parsers.host, "127.0.0.1", "address the gRPC debug server listens on"
    ),
    Variable("GRPC_DEBUG_PORT", parsers.port, "8041", "gRPC debug server; 0: any free port"),
    Variable(
        "GRPC_DEBUG_ALLOW_WRITE",
        parsers.switch,
        "false",
        "whether the debug server may settle reservations, not only tell",
    ),
    Variable(
        "NOTIFICATION_TOPIC_ARN",
        parsers.topic_arn,
        "",
        "SNS topic for messages to the customer; unset: none are sent",
    ),
    Variable(
        "SHUTDOWN_TIMEOUT",
        parsers.seconds(3600),
        "30",
        "longest stop in seconds; SQS_WAIT_TIME + 8 or more",
    ),
    Variable("POD_NAME", parsers.text_line, "", "name in the logs; unset: the machine's name"),
)


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """Everything that can be set, checked; made by `from_mapping`. VARIABLES has the units."""

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
    reservation_api_base: str
    otel_endpoint: str | None
    otel_insecure: bool
    otel_protocol: str
    log_level: str
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
        """Parse and check `values`; `sources` says where each came from.

        Raises ConfigurationError with every problem at once.
        """
        parsed, problems = inspect(values, sources)
        if problems:
            raise ConfigurationError(list(problems.values()))
        given = (v.name for v in VARIABLES if values.get(v.name, "").strip())
        origin = sources or {}
        return cls(**parsed, sources=tuple((n, origin.get(n, "environment")) for n in given))

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
    """Parse `values`: what is right by field name, what is wrong as a sentence by variable."""
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
            problems[variable.name] = _problem(variable, given, source, str(wrong))
    parsed["sqs_region"] = parsed.get("sqs_region") or parsed.get("aws_region")
    if parsed.get("otel_insecure") is None:
        endpoint = parsed.get("otel_endpoint") or ""
        parsed["otel_insecure"] = not endpoint.lower().startswith("https:")
    if parsed.get("pod_name") is None:
        machine = values.get("HOSTNAME", "").strip()
        parsed["pod_name"] = machine if machine and machine.isprintable() else "unknown"
    return parsed, problems | _conflicts(parsed)


def _problem(variable: Variable, given: str, source: str, expected: str) -> str:
    if not given:
        return f"{variable.name} is not set: set it to {expected}."
    shown = variable.show(given, source)
    shown = shown if len(shown) <= 200 else shown[:200] + "…"
    place = source if source.startswith(".env") else f"the {source}"
    return f"{variable.name} is {shown!r} in {place}, but it must be {expected}: correct it there."


def _conflicts(parsed: Mapping[str, Any]) -> dict[str, str]:
    """What is right by itself but not together; compares only what could be parsed."""
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
