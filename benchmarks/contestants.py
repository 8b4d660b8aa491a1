"""Who is measured: a command and its environment, whatever is inside."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from reservation_worker.simulator.emulator import CREDENTIALS, REGION


@dataclass(frozen=True, slots=True)
class Place:
    """Where the stubs of a run are, and what the run asks of the contestant."""

    endpoint: str
    queue_url: str
    inventory: str
    reservation: str
    otlp: str
    concurrency: int
    port: int


@dataclass(frozen=True, slots=True)
class Contestant:
    """Started with `command`; the values of `env` are templates over a Place's fields.

    `traced` is added to the environment of a run that exports spans. `latency` names the field of
    a JSON log line that has a delivery's milliseconds, from the receive to the settled outcome;
    without one only the stub's view, up to the delete, is known. `lacks` is what it does not do.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    traced: Mapping[str, str]
    latency: str = ""
    lacks: str = ""

    def environment(self, place: Place, sampler: Mapping[str, str] | None) -> dict[str, str]:
        """The whole environment; `sampler`: further variables of tracing, None: no spans."""
        templates = {**self.env, **({**self.traced, **sampler} if sampler is not None else {})}
        facts = {name: getattr(place, name) for name in Place.__slots__}
        return {name: text.format(**facts) for name, text in templates.items()}


OURS = Contestant(
    "reservation-worker",
    (sys.executable, "-m", "reservation_worker", "run"),
    # All else is the default, as in production.
    {
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": "{endpoint}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": REGION,
        "SQS_QUEUE_URL": "{queue_url}",
        "INVENTORY_GRPC_ADDR": "{inventory}",
        "RESERVATION_API_BASE": "{reservation}",
        "WORKER_CONCURRENCY": "{concurrency}",
        "SERVER_HOST": "127.0.0.1",
        "SERVER_PORT": "{port}",
        "GRPC_DEBUG_PORT": "0",
    },
    {"OTEL_EXPORTER_OTLP_ENDPOINT": "{otlp}"},
    latency="duration_ms",
)

CONTESTANTS = {one.name: one for one in (OURS,)}
