"""The table of environment variables: parser, default and meaning of each.

Parsing, `.env.example`, the table of docs/configuration.md and the `config` verb all use it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from reservation_worker.config import parsers
from reservation_worker.config.redaction import HIDDEN


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable. `default` is text; "" means none, or a derived one."""

    name: str
    parse: Callable[[str], object]
    default: str
    description: str
    alias: str = ""
    required: bool = False

    @property
    def field(self) -> str:
        """The name of its field in Settings."""
        return self.alias or self.name.lower()

    def show(self, text: str, source: str) -> str:
        """`text` as it may be shown: no secret, and no user, password or query of a URL."""
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
        "USE_SECRET_MANAGER", parsers.switch, "false", "whether to read the secret SECRET_NAME"
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
        "INVENTORY_KEY_TTL",
        parsers.whole(0, 1_209_600),
        "300",
        "seconds until inventory-svc forgets an idempotency key; 0: never",
    ),
    Variable(
        "RESERVATION_API_BASE",
        parsers.base_url,
        "http://reservation-api:8010",
        "URL of reservation-api",
    ),
    Variable(
        "RESERVATION_API_TOKEN_FILE",
        parsers.text_line,
        "",
        "file with the bearer token for reservation-api, read again when it changes; unset: none",
    ),
    Variable(
        "SSL_CERT_FILE",
        parsers.text_line,
        "",
        "PEM file of the CAs to trust for both neighbours and the collector; unset: public CAs",
    ),
    Variable(
        "OTEL_TRACES_EXPORTER", parsers.one_of("otlp", "none"), "otlp", "none: no traces are sent"
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
    Variable(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        parsers.endpoint,
        "",
        "collector of the traces; wins over OTEL_EXPORTER_OTLP_ENDPOINT",
        "otel_traces_endpoint",
    ),
    Variable(
        "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
        parsers.switch,
        "",
        "wins over OTEL_EXPORTER_OTLP_INSECURE",
        "otel_traces_insecure",
    ),
    Variable("OTEL_EXPORTER_OTLP_PROTOCOL", parsers.protocol, "grpc", "only grpc", "otel_protocol"),
    Variable(
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        parsers.protocol,
        "grpc",
        "only grpc",
        "otel_traces_protocol",
    ),
    Variable("LOG_LEVEL", parsers.level, "info", "debug, info, warn or error"),
    Variable(
        "LOG_FORMAT",
        parsers.one_of("json", "text"),
        "",
        "json or text (lines for people); unset: text on a terminal, otherwise json",
    ),
    Variable(
        "SERVER_HOST",
        parsers.host,
        "::",
        "address the HTTP server listens on; :: is every IPv6 and IPv4 address",
    ),
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
        "whether the debug server may also settle reservations",
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
