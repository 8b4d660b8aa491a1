"""Settings: strings in, one frozen and checked value out.

Pure: reads no file, no environment and no network (sources.py does that). VARIABLES is the one
table: parsing, `.env.example`, the README's table and the `config` verb are all made from it.
"""

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from reservation_worker.errors import ConfigurationError

HIDDEN = "***"
# What a stop takes beside the longest poll: giving back, flushing, closing (seconds).
STOP_MARGIN = 8

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9.])?")
_ADDRESS = re.compile(r"(?:\[(?P<v6>[^\]]*:[^\]]*)\]|(?P<name>[^:\[\]]+))(?::(?P<port>[0-9]+))?")
_URL = re.compile(
    r"(?P<scheme>https?)://(?:(?P<user>[^/?#]*)@)?(?P<address>[^/?#@]+)(?P<path>/[^?#]*)?", re.I
)
_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# A path that ends with twelve digits is an account whose queue's name was forgotten.
_QUEUE_PATH = re.compile(r"/(?:.*/)?(?![0-9]{12}$)[A-Za-z0-9_-]{1,80}(?:\.fifo)?")


# A parser takes stripped, non-empty text and raises ValueError with the words that finish the
# sentence "it must be ...".
def _must_be(what: str, test: Callable[[str], object]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not test(text):
            raise ValueError(what)
        return text

    return parse


def _switch(text: str) -> bool:
    word = text.lower()
    if word not in {"true", "1", "yes", "on", "false", "0", "no", "off"}:
        raise ValueError("true or false")
    return word in {"true", "1", "yes", "on"}


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        # int() alone would also take "1_000" and the digits of other scripts.
        if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def _seconds(high: int) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not 0 < number <= high:
            raise ValueError(f"a number of seconds above 0 and up to {high}, such as 10 or 2.5")
        return number

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    test = _must_be(" or ".join(words), words.__contains__)
    return lambda text: test(text.lower())


def _is_host(text: str) -> bool:
    if ":" in text or not text.strip("0123456789."):
        try:
            ipaddress.ip_address(text)
        except ValueError:
            return False
        return "%" not in text  # a zone means something on one machine only
    return _HOST.fullmatch(text) is not None and ".." not in text


def _is_address(text: str, port_needed: bool = True) -> bool:
    """Whether `text` is host:port or [ipv6]:port (without the port where none is needed)."""
    match = _ADDRESS.fullmatch(text)
    if match is None or not _is_host(match["v6"] or match["name"]):
        return False
    port = match["port"]
    return not port_needed if port is None else len(port) < 6 and 1 <= int(port) <= 65535


def _url(text: str) -> re.Match[str] | None:
    """The parts of an http(s) URL without query and fragment, or None if it is not one."""
    match = _URL.fullmatch(text) if text.isprintable() and not set(' \\"<>') & set(text) else None
    return match if match and _is_address(match["address"], port_needed=False) else None


def _place(url: re.Match[str]) -> tuple[str, str]:
    return url["address"].lower(), url["path"] or ""


def _is_queue(text: str) -> bool:
    url = _url(text)
    return url is not None and _QUEUE_PATH.fullmatch(url["path"] or "") is not None


def _is_base(text: str) -> bool:
    url = _url(text)
    # Neither requests nor gRPC is to get a user from here; gRPC would dial it as a host's name.
    return url is not None and url["user"] is None


_text = _must_be("printable text on one line", str.isprintable)
_region = _must_be(
    "the name of an AWS region, such as ap-northeast-2",
    re.compile(r"(?=.*[a-z])[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?").fullmatch,
)
_host = _must_be("a host name or an IP address, such as 0.0.0.0", _is_host)
_address = _must_be("host:port without http://, such as inventory-svc:8021", _is_address)
_queue = _must_be(
    "a queue's http(s) URL, such as https://sqs.<region>.amazonaws.com/<account>/<queue>", _is_queue
)
_plain_url = _must_be(
    "an http(s) URL without user, query or fragment, such as http://reservation-api:8010", _is_base
)
_endpoint = _must_be(
    "host:port or an http(s) URL without user, query or fragment, such as http://collector:4317",
    lambda text: _is_base(text) or _is_address(text),
)


def _base(text: str) -> str:
    return _plain_url(text).rstrip("/")


_PORT = _whole(0, 65535)
_PROTOCOL = _one_of("grpc")
_LEVEL = _one_of("debug", "info", "warn", "error")


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
        if "://" in text or self.parse in (_queue, _base, _endpoint, _address):
            # Up to the *last* @, so that a password with a / or an @ in it is covered too.
            text = re.sub(r"^([A-Za-z][A-Za-z0-9+.-]*://)?.*@", rf"\1{HIDDEN}@", text, flags=re.S)
            text = re.sub(r"[?#].*", f"?{HIDDEN}", text, flags=re.S)
        return text


VARIABLES = (
    Variable("AWS_REGION", _region, "ap-northeast-2", "AWS region"),
    Variable("AWS_PROFILE", _text, "", "profile of ~/.aws to use"),
    Variable("USE_SECRET_MANAGER", _switch, "false", "whether to read the secret named next"),
    Variable("SECRET_NAME", _text, "traffictacos/reservation-worker", "name or ARN of the secret"),
    Variable(
        "SQS_QUEUE_URL",
        _queue,
        "",
        "queue to work on, https://sqs.ap-northeast-2.amazonaws.com/123456789012/name",
        required=True,
    ),
    Variable("SQS_REGION", _region, "", "region of the queue; unset: AWS_REGION"),
    Variable("SQS_DLQ_URL", _queue, "", "dead-letter queue; unset: the queue's own redrive policy"),
    Variable("SQS_WAIT_TIME", _whole(0, 20), "20", "longest poll, in seconds"),
    Variable("WORKER_CONCURRENCY", _whole(1, 1000), "20", "events handled at the same time"),
    Variable("MAX_RETRIES", _whole(0, 100), "5", "tries of an event after the first"),
    Variable(
        "BACKOFF_BASE_MS", _whole(1, 900_000), "1000", "first retry's delay in ms; it doubles"
    ),
    Variable("CALL_TIMEOUT", _seconds(300), "10", "limit of one call, in seconds"),
    Variable("INVENTORY_GRPC_ADDR", _address, "inventory-svc:8021", "host:port of inventory-svc"),
    Variable("INVENTORY_GRPC_TLS", _switch, "false", "whether inventory-svc speaks TLS"),
    Variable(
        "RESERVATION_API_BASE", _base, "http://reservation-api:8010", "URL of reservation-api"
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        _endpoint,
        "",
        "collector, http://host:4317 or host:4317; unset: no traces are sent",
        "otel_endpoint",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_INSECURE",
        _switch,
        "",
        "no TLS to the collector; unset: true unless its URL is https",
        "otel_insecure",
    ),
    Variable("OTEL_EXPORTER_OTLP_PROTOCOL", _PROTOCOL, "grpc", "only grpc", "otel_protocol"),
    Variable("LOG_LEVEL", _LEVEL, "info", "debug, info, warn or error"),
    Variable("SERVER_HOST", _host, "0.0.0.0", "address the HTTP server listens on"),  # noqa: S104 -- probes come from outside the pod
    Variable("SERVER_PORT", _PORT, "8040", "probes and metrics; 0: any free port"),
    Variable("GRPC_DEBUG_PORT", _PORT, "8041", "reserved for the gRPC debug server, which is not served yet"),
    Variable(
        "SHUTDOWN_TIMEOUT",
        _seconds(3600),
        "30",
        "longest stop in seconds; SQS_WAIT_TIME + 8 or more",
    ),
    Variable("POD_NAME", _text, "", "name in the logs; unset: the machine's name"),
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
    grpc_debug_port: int
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
        """Where variable `name` was set: secret, environment, .env.local, .env, else default."""
        return dict(self.sources).get(name, "default")

    def redacted(self) -> dict[str, str]:
        """Each variable's effective value as text that may be shown to anyone; "" is unset."""
        return {
            v.name: v.show(_as_text(getattr(self, v.field)), self.source_of(v.name))
            for v in VARIABLES
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
    queue, dead = (_url(parsed.get(f) or "") for f in ("sqs_queue_url", "sqs_dlq_url"))
    if queue and dead and _place(queue) == _place(dead):
        problems["SQS_DLQ_URL"] = (
            "SQS_DLQ_URL is the same queue as SQS_QUEUE_URL: a dead letter would come back at "
            "once; name another queue, or unset it to use the queue's redrive policy."
        )
    return problems
