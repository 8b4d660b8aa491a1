"""The rows and the goals, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from benchmarks.contestants import OURS, PEERS, PYTHON_PEERS, SQS_CONSUMER, SQS_WORKERS, TEXTBOOK

ALL_SPANS: Mapping[str, str] = {}
TENTH: Mapping[str, str] = {
    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "0.1",
}
NO_SPANS = None


@dataclass(frozen=True, slots=True)
class Setup:
    """The world of a run. `cpus`: the quota of each process, None: no limit.

    `depth`: how many events are there at first, if it is more than are measured. `load`: events
    come at random times, at this share of the concurrency's ceiling. `sqs_ms` is one SQS call.
    `viewers` have the status page open.
    """

    latency_ms: float = 40
    jitter_ms: float = 0
    sqs_ms: float = 8
    concurrency: int = 20
    processes: int = 1
    cpus: float | None = None
    spans: Mapping[str, str] | None = field(default_factory=lambda: ALL_SPANS)
    depth: int = 0
    load: float = 0.0
    viewers: int = 0

    @property
    def ceiling(self) -> float:
        """Events per second if every thread only waits; 0: no such limit."""
        per_event = 2 * self.latency_ms / 1000
        return self.concurrency * self.processes / per_event if per_event else 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `events` (seconds for `idle`); `quick` is for the quick form, 0: not.

    `long` is only measured when it is asked for by name, `once` in the first round only. The rows
    `beside` are measured along with it, in the same run; its ratios are to the first.
    """

    name: str
    scenario: str
    setup: Setup
    events: int
    quick: int = 0
    long: bool = False
    once: bool = False
    contestant: str = OURS.name
    beside: tuple[str, ...] = ()


BASE = Setup()
HALF = replace(BASE, cpus=0.5)
FAST = replace(BASE, latency_ms=5, cpus=0.5)
NOTHING = replace(BASE, latency_ms=0)


def _backlog(depth: int, quick: int = 0) -> Row:
    # Only the events that are there can be settled.
    setup = replace(NOTHING, depth=depth)
    return Row(f"backlog of {depth:,}", "settle", setup, min(depth, 20_000), quick)


def _peer(name: str) -> tuple[Row, ...]:
    still = replace(NOTHING, spans=NO_SPANS)
    return (
        Row(
            f"peer {name}, 0 ms",
            "settle",
            still,
            5_120,
            contestant=name,
            beside=("0 ms, no spans",),
        ),
        Row(
            f"peer {name}, 40 ms",
            "settle",
            replace(BASE, spans=NO_SPANS),
            5_120,
            contestant=name,
            beside=("40 ms, no spans", "40 ms, all spans"),
        ),
    )


# Multiples of 512, at three spans an event: whole exports, so that no span is left for the next
# run.
ROWS = (
    Row("40 ms, all spans", "settle", BASE, 5_120, 1_024),
    Row("40 ms, 10 % of spans", "settle", replace(BASE, spans=TENTH), 5_120),
    Row("40 ms, no spans", "settle", replace(BASE, spans=NO_SPANS), 5_120, 1_024),
    Row("40 ms, 20 viewers", "settle", replace(BASE, viewers=20), 5_120),
    Row("40 ms, half a CPU", "settle", HALF, 5_120, 1_024),
    Row("40 ms, half a CPU, 50 threads", "settle", replace(HALF, concurrency=50), 5_120),
    Row("40 ms, half a CPU, 100 threads", "settle", replace(HALF, concurrency=100), 5_120),
    Row("40±20 ms", "settle", replace(BASE, jitter_ms=20), 5_120),
    Row("5 ms", "settle", replace(BASE, latency_ms=5), 5_120),
    Row("0 ms", "settle", NOTHING, 5_120),
    Row("0 ms, no spans", "settle", replace(NOTHING, spans=NO_SPANS), 5_120),
    Row("5 ms, half a CPU, 20 threads", "settle", FAST, 5_120, 1_024),
    Row("5 ms, half a CPU, 50 threads", "settle", replace(FAST, concurrency=50), 5_120),
    Row("5 ms, half a CPU, 100 threads", "settle", replace(FAST, concurrency=100), 5_120),
    Row("40 ms, 50 threads", "settle", replace(BASE, concurrency=50), 5_120),
    Row("40 ms, 100 threads", "settle", replace(BASE, concurrency=100), 5_120),
    Row("40 ms, 4 processes", "settle", replace(BASE, processes=4), 10_000),
    Row("burst of 1,000", "settle", BASE, 1_000, 1_000),
    Row("60 % load", "settle", replace(BASE, load=0.6), 9_000, 600),
    Row("60 % load, half a CPU", "settle", replace(HALF, load=0.6), 9_000),
    _backlog(1_000, 500),
    _backlog(10_000),
    _backlog(100_000),
    _backlog(1_000_000, 500),
    Row("10,000 events", "settle", NOTHING, 10_000),
    Row("1,000,000 events", "settle", NOTHING, 1_000_000, long=True),
    Row("start", "start", BASE, 1, 1),
    Row("start, half a CPU", "start", HALF, 1),
    Row("idle", "idle", BASE, 300, once=True),
    Row("import", "imports", BASE, 1, 1),
    *(row for peer in PEERS for row in _peer(peer.name)),
)


@dataclass(frozen=True, slots=True)
class Goal:
    """`figure` of a row (the best of `rows`), against a bound.

    With `against` it is the ratio to the same figure of that row.
    """

    what: str
    rows: tuple[str, ...]
    figure: str
    sign: str
    bound: float
    unit: str = ""
    against: str = ""


_HALF_5_MS = tuple(row.name for row in ROWS if row.name.startswith("5 ms, half a CPU"))

GOALS = (
    Goal("throughput of the ceiling", ("40 ms, all spans",), "percent_of_ceiling", ">=", 96, "%"),
    Goal(
        "throughput of the ceiling, half a CPU",
        ("40 ms, half a CPU",),
        "percent_of_ceiling",
        ">=",
        88,
        "%",
    ),
    Goal("saturated at half a CPU, 5 ms", _HALF_5_MS, "events_per_s", ">=", 520, "/s"),
    Goal("the same, moonshot", _HALF_5_MS, "events_per_s", ">=", 600, "/s"),
    Goal("P95 at 60 % load", ("60 % load",), "p95_ms", "<=", 118, "ms"),
    Goal("P99 at 60 % load", ("60 % load",), "p99_ms", "<=", 285, "ms"),
    Goal("errors at 60 % load", ("60 % load",), "errors", "<=", 0),
    Goal("CPU per event, 60 % load", ("60 % load",), "cpu_ms", "<=", 1.5, "ms"),
    Goal("latency added, P95 at 60 % load", ("60 % load",), "added_p95_ms", "<=", 10, "ms"),
    Goal("1,000 events", ("burst of 1,000",), "seconds", "<=", 5, "s"),
    Goal("1,000 events by the ceiling's time", ("burst of 1,000",), "ceilings", "<=", 1.1, "x"),
    Goal("CPU per event, all spans", ("40 ms, all spans",), "cpu_ms", "<=", 1.1, "ms"),
    Goal("CPU per event, no spans", ("40 ms, no spans",), "cpu_ms", "<=", 0.95, "ms"),
    Goal("RSS under load", ("40 ms, all spans",), "rss_mb", "<=", 75, "MB"),
    Goal(
        "RSS after 1,000,000 by that after 10,000",
        ("1,000,000 events",),
        "rss_mb",
        "<=",
        1.05,
        "x",
        "10,000 events",
    ),
    Goal("AWS calls per event, saturated", ("40 ms, all spans",), "calls", "<=", 0.22),
    Goal(
        "CPU per event, backlog of 1,000,000 by 1,000",
        ("backlog of 1,000,000",),
        "cpu_ms",
        "<=",
        1.1,
        "x",
        "backlog of 1,000",
    ),
    Goal("start to the first settled event", ("start",), "cpu_s", "<=", 0.4, "s CPU"),
    *(
        Goal(
            f"CPU per event, all spans, by that of {peer.name} without",
            ("40 ms, all spans",),
            "cpu_ms",
            "<=",
            {SQS_WORKERS.name: 1, TEXTBOOK.name: 0.45}.get(peer.name, 0.5),
            "x",
            f"peer {peer.name}, 40 ms",
        )
        for peer in PYTHON_PEERS
    ),
    *(
        Goal(
            f"{what}, no spans, by that of {SQS_CONSUMER.name}",
            ("40 ms, no spans",),
            figure,
            "<=",
            bound,
            "x",
            f"peer {SQS_CONSUMER.name}, 40 ms",
        )
        for what, figure, bound in (("CPU per event", "cpu_ms", 1), ("RSS", "rss_mb", 0.5))
    ),
)
