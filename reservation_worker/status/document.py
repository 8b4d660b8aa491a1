"""The worker's live state as one JSON document, for the status page."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from prometheus_client import Counter

from reservation_worker import __version__
from reservation_worker.config.redaction import Redactor
from reservation_worker.config.settings import Settings
from reservation_worker.observability.metrics import OUTCOMES, TYPES, Metrics
from reservation_worker.outcome import Completed
from reservation_worker.pipeline.assembly import Pipeline
from reservation_worker.status.dead_letters import CRITICAL_WINDOW
from reservation_worker.status.depth import DepthReader
from reservation_worker.status.findings import assess
from reservation_worker.status.history import SPAN, History
from reservation_worker.status.probes import Check, Probes
from reservation_worker.status.recent import RecentOutcomes, Snapshot
from reservation_worker.status.series import SETTLED, columns, window

FAILURES = 20
"""The number of failures in the document: the last ones."""
LONGEST = 300
"""The longest text of a failure, in characters."""


@dataclass(eq=False)
class Status:
    """Reads live state at each call; waits for no neighbour, and for SQS at most depth.PATIENCE."""

    settings: Settings
    metrics: Metrics
    pipeline: Pipeline
    probes: Probes
    recent: RecentOutcomes
    history: History
    depth: DepthReader
    draining: Callable[[], bool]
    _redact: Redactor = field(default_factory=lambda: Redactor(os.environ), init=False)

    def document(self) -> dict[str, Any]:
        """Everything, in types of JSON; docs/status-page.md describes it."""
        now = self.history.now()
        points = self.history.points()
        recent = self.recent.snapshot()
        whole = window(points, now, SPAN)
        health, ready = self.probes.health(), self.probes.ready()
        breakers = {
            name: (state, self.pipeline.breakers.of(name).remaining())
            for name, state in self.pipeline.breakers.states().items()
        }
        document = {
            "worker": {
                "queue_name": self.settings.queue_name,
                "region": self.settings.sqs_region,
                "pod_name": self.settings.pod_name,
                "version": __version__,
                "now": round(now, 1),
                "started_at": round(self.history.started_at, 1),
                "uptime_seconds": round(now - self.history.started_at, 1),
                "draining": self.draining(),
            },
            "checks": {"health": _shown(health), "ready": _shown(ready)},
            "outcomes": self._outcomes(),
            "last_minute": window(points, now, 60.0),
            "last_5_minutes": window(points, now, CRITICAL_WINDOW),
            "last_15_minutes": whole,
            "pool": self._pool(),
            "breakers": [
                {
                    "neighbour": name,
                    "state": state.name.lower(),
                    "retry_in_seconds": round(remaining, 1),
                    "in_flight_limit": self.pipeline.breakers.of(name).limit(),
                }
                for name, (state, remaining) in breakers.items()
            ],
            **self._queues(recent, now, whole["dead_lettered"]),
            "polling": self._polling(),
            "leases": self._lease_figures(),
            "failures": [self._failure(one) for one in recent.failures[:FAILURES]],
            "series": columns(points),
        }
        condition, findings = assess(health, ready, breakers, self.settings.redacted(), document)
        return document | {
            "condition": condition.value,
            "findings": [asdict(finding) for finding in findings],
        }

    def _outcomes(self) -> dict[str, Any]:
        counts = {kind: dict.fromkeys(OUTCOMES, 0) for kind in TYPES}
        for labels, value in self.metrics.values(self.metrics.events):
            counts[labels["type"]][labels["outcome"]] = int(value)
        settled = sum(by_outcome[name] for by_outcome in counts.values() for name in SETTLED)
        return {"settled": settled, "by_type": counts}

    def _pool(self) -> dict[str, int]:
        busy, in_flight = self.pipeline.dispatcher.busy, self.pipeline.dispatcher.in_flight
        return {
            "threads": self.pipeline.dispatcher.concurrency,
            "threads_busy": busy,
            "slots": self.pipeline.dispatcher.slots,
            "in_flight": in_flight,
            "waiting": max(0, in_flight - busy),
        }

    def _queues(self, recent: Snapshot, now: float, in_window: int) -> dict[str, Any]:
        depths, age = self.depth.depths(), self.depth.age
        last = recent.last_dead_letter_at
        refused = depths is None and self.depth.refused
        return {
            "queue": {
                "visible": depths and depths.visible,
                "in_flight": depths and depths.in_flight,
                "delayed": depths and depths.delayed,
                "read_seconds_ago": None if depths is None or age is None else round(age, 1),
                "problem": "SQS refuses or does not answer" if refused else None,
            },
            "dead_letters": {
                "depth": depths and depths.dead,
                "by_reason": {
                    labels["reason"]: int(value)
                    for labels, value in self.metrics.values(self.metrics.dead_lettered)
                },
                "in_window": in_window,
                "unsent": self._count(self.metrics.dead_letter_failures),
                "last_seconds_ago": None if last is None else max(0.0, round(now - last, 1)),
            },
        }

    def _polling(self) -> dict[str, int]:
        receives = {
            labels["result"]: int(value)
            for labels, value in self.metrics.values(self.metrics.receives)
        }
        return {
            "receives_with_messages": receives["messages"],
            "receives_empty": receives["empty"],
            "errors": self._count(self.metrics.poll_errors),
            "errors_in_a_row": self.pipeline.poller.errors_in_a_row,
        }

    def _lease_figures(self) -> dict[str, int]:
        return {
            "open": self.pipeline.leases.count,
            "renewed": self._count(self.metrics.leases_renewed),
            "renewal_failures": self._count(self.metrics.lease_renewal_failures),
            "lost": self._count(self.metrics.leases_lost),
            "visibility_seconds": self.pipeline.leases.visibility,
        }

    def _count(self, counter: Counter) -> int:
        return sum(int(value) for _, value in self.metrics.values(counter))

    def _failure(self, one: Completed) -> dict[str, Any]:
        # The ids that the log has; no payment's id.
        texts = {
            name: self._text(getattr(one, name))
            for name in (
                "event_type", "reservation_id", "event_id", "message_id", "trace_id", "reason",
                "error",
            )
        }  # fmt: skip
        return texts | {
            "at": round(one.at, 1),
            "outcome": one.counted,
            "attempt": one.attempt,
            "duration_ms": round(one.seconds * 1000, 1),
        }

    def _text(self, value: str | None) -> str | None:
        if value is None:
            return None
        text = self._redact(value)
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _shown(checks: list[Check]) -> list[dict[str, Any]]:
    return [asdict(check) for check in checks]
