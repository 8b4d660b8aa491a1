"""The programs that are measured, each a command and its environment."""

import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.peers.install import MODULES, PYTHON
from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION


@dataclass(frozen=True, slots=True)
class Place:
    """The addresses of a run's stubs, and the run's parameters for the contestant."""

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
    without one only the stub's view, up to the delete, is known. `form` is that of its messages.
    `exits` are its exit codes after a SIGTERM. `settings` says how it runs, `lacks` what it does
    not do.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    traced: Mapping[str, str] = field(default_factory=dict)
    latency: str = ""
    form: str = "plain"
    exits: tuple[int, ...] = (0,)
    settings: str = ""
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
        "MALLOC_ARENA_MAX": "2",  # as in the image
    },
    {"OTEL_EXPORTER_OTLP_ENDPOINT": "{otlp}"},
    latency="duration_ms",
)


_OURS_ALONE = ("SERVER", "GRPC", "MALLOC")


def _peer(command: tuple[str, ...], **facts: Any) -> Contestant:
    """A contestant that is installed beside the project."""
    env = {name: OURS.env[name] for name in OURS.env if not name.startswith(_OURS_ALONE)}
    # boto3 knows the region by this name only; Node's require finds its modules in this place.
    env |= {"AWS_DEFAULT_REGION": REGION, "NODE_PATH": str(MODULES)}
    return Contestant(command=command, env=env, **facts)


def _python(module: str) -> tuple[str, ...]:
    return (str(PYTHON), "-m", *module.split())


_KILLED = (-signal.SIGTERM,)
TEXTBOOK = _peer(
    _python("benchmarks.peers.textbook"),
    name="textbook",
    exits=_KILLED,
    settings="boto3, requests.Session and gRPC as they come, so ten kept connections each; a pool"
    " of 20 threads, fed without waiting: the usual loop that waits for each ten can't have 20 in"
    " flight",
    lacks="leases; retry by visibility; batch deletes (one call an event); a bound on"
    " received messages; drain (killed between settling and deleting); breaker; poison to"
    " the DLQ with a reason",
)
SQS_WORKERS = _peer(
    _python("benchmarks.peers.sqs_workers_peer"),
    name="sqs-workers",
    exits=_KILLED,
    settings="RawQueue; 20 threads, each with its environment and the loop of process_queue, as"
    " a loop handles its ten one after the other; exponential backoff by visibility (default)",
    lacks="leases (ten in a row share one visibility); failed entries of a batch delete (logged,"
    " not tried again); drain (killed between its calls); breaker; poison to the DLQ with a reason",
)
DRAMATIQ = _peer(
    _python("dramatiq benchmarks.peers.dramatiq_peer --processes 1 --threads 20"),
    name="dramatiq",
    form="dramatiq",
    settings="1 process, 20 threads; backoff of 15 minutes at most; else the defaults: 12 hours of"
    " visibility, no more than 19 messages taken in, and a pause that doubles while it has ten",
    lacks="leases (a killed worker's events come back after 12 hours); retry by visibility (sends"
    " a copy, then deletes); batch deletes (one call an event); breaker; poison to the DLQ with a"
    " reason (after 20 retries it is deleted, or copied to a DLQ if configured)",
)
CELERY = _peer(
    _python(
        "celery --app benchmarks.peers.celery_peer worker --pool threads --concurrency 20"
        " --queues reservation-events --without-gossip --without-mingle --without-heartbeat"
        " --loglevel WARNING"
    ),
    name="celery",
    form="celery",
    settings="threads pool of 20, acks_late, long poll of 20 s, predefined queue, no remote"
    " control, no results; prefetch 4 x 20 (default); receives with pycurl",
    lacks="leases; retry by visibility (a failed task is deleted, unless configured otherwise);"
    " batch deletes (one call an event, one after the other in its main loop); giving back"
    " prefetched messages when it stops; breaker; poison to the DLQ with a reason",
)
SQS_CONSUMER = _peer(
    (shutil.which("node") or "node", str(Path(__file__).parent / "peers/node/consumer.cjs")),
    name="sqs-consumer",
    settings="Node; 2 consumers in one process, batches of 10 handled at once by"
    " handleMessageBatch; undici, grpc-js, pino",
    lacks="leases (its heartbeat is off by default); retry by visibility (off by default, one"
    " time for a whole batch); failed entries of a batch delete (reported, not tried again);"
    " breaker; poison to the DLQ with a reason",
)
PYTHON_PEERS = (TEXTBOOK, SQS_WORKERS, DRAMATIQ, CELERY)
PEERS = (*PYTHON_PEERS, SQS_CONSUMER)
CONTESTANTS = {one.name: one for one in (OURS, *PEERS)}
