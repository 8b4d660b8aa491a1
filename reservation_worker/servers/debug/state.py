"""The answers of WorkerService about the worker, read from live state at each call."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from reservation_worker.outcome import Completed
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.dispatcher import Dispatcher
from reservation_worker.status.depth import DepthReader
from reservation_worker.status.history import History
from reservation_worker.status.probes import Check, Probes
from reservation_worker.status.recent import RecentOutcomes, Snapshot
from reservation_worker.stubs.proto.common.v1 import errors_pb2
from reservation_worker.stubs.proto.reservation.v1 import worker_pb2

_INT32 = 2**31 - 1
_ENDED = {
    "success": worker_pb2.JOB_INSTANCE_STATUS_COMPLETED,
    "dropped": worker_pb2.JOB_INSTANCE_STATUS_COMPLETED,
    "retried": worker_pb2.JOB_INSTANCE_STATUS_PENDING,
}


@dataclass(frozen=True, slots=True)
class WorkerState:
    """The answers to the calls that only read. `history` has the dispatcher's clock."""

    worker_id: str
    dispatcher: Dispatcher
    probes: Probes
    recent: RecentOutcomes
    history: History
    depth: DepthReader
    draining: Callable[[], bool]

    def now(self) -> Timestamp:
        """The time, for an answer."""
        return _stamp(self.history.now())

    def health(self) -> worker_pb2.HealthCheckResponse:
        """The worker's state by /health and /ready, and its counts since the start."""
        dead, red = _failing(self.probes.health()), _failing(self.probes.ready())
        if self.draining():
            status = worker_pb2.WORKER_STATUS_TERMINATED
        elif dead:
            status = worker_pb2.WORKER_STATUS_UNHEALTHY
        else:
            status = worker_pb2.WORKER_STATUS_DEGRADED if red else worker_pb2.WORKER_STATUS_HEALTHY
        snapshot, depths = self.recent.snapshot(), self.depth.depths()
        last = next((one for one in snapshot.deliveries if one.counted != "retried"), None)
        return worker_pb2.HealthCheckResponse(
            status=status,
            processed_events_count=int32(snapshot.total),
            failed_events_count=int32(snapshot.total_failures),
            last_processed_at=_stamp(last.at) if last else None,
            queue_depth=int32(depths.visible) if depths else -1,
            started_at=_stamp(self.history.started_at),
            error=_unavailable([*dead, *red]),
        )

    def jobs(self, job_id: str, event_type: str) -> worker_pb2.GetJobStatusResponse:
        """The messages being handled and the last deliveries, newest first; "" selects all."""
        snapshot, running = self.recent.snapshot(), self.dispatcher.running()
        found: dict[str, worker_pb2.JobInstance] = {}
        for delivery in running:
            if _wanted(delivery.message.id, delivery.event_type, job_id, event_type):
                found[delivery.message.id] = self._running_job(delivery)
        # The failures are kept longer; a message's newest state wins.
        for one in sorted({*snapshot.deliveries, *snapshot.failures}, key=lambda each: -each.at):
            if _wanted(one.message_id, one.event_type, job_id, event_type):
                found.setdefault(one.message_id, self._ended_job(one))
        error = None
        if job_id and not found:
            error = errors_pb2.Error(
                code=errors_pb2.ERROR_CODE_NOT_FOUND,
                message="this worker neither handles it nor has settled it lately",
            )
        return worker_pb2.GetJobStatusResponse(
            jobs=found.values(), metrics=self._metrics(snapshot, len(running)), error=error
        )

    def _running_job(self, delivery: Delivery) -> worker_pb2.JobInstance:
        since = delivery.started_at
        return worker_pb2.JobInstance(
            job_id=delivery.message.id,
            worker_id=self.worker_id,
            status=worker_pb2.JOB_INSTANCE_STATUS_RUNNING,
            started_at=_stamp(self.history.now() if since is None else self.history.unix(since)),
        )

    def _ended_job(self, completed: Completed) -> worker_pb2.JobInstance:
        status = _ENDED.get(completed.counted, worker_pb2.JOB_INSTANCE_STATUS_FAILED)
        pending = completed.counted == "retried"
        return worker_pb2.JobInstance(
            job_id=completed.message_id,
            worker_id=self.worker_id,
            status=status,
            started_at=_stamp(completed.at - completed.seconds),
            completed_at=None if pending else _stamp(completed.at),
            events_processed=int(not pending),
            events_failed=int(status == worker_pb2.JOB_INSTANCE_STATUS_FAILED),
        )

    def _metrics(self, snapshot: Snapshot, running: int) -> worker_pb2.JobMetrics:
        depths, held = self.depth.depths(), self.dispatcher.in_flight
        queued = depths.visible + depths.delayed if depths else 0
        times = [one.seconds for one in snapshot.deliveries]
        return worker_pb2.JobMetrics(
            total_active_jobs=int32(held),
            total_events_pending=int32(queued + max(0, held - running)),
            total_events_processing=int32(running),
            total_events_completed=int32(snapshot.total - snapshot.total_failures),
            total_events_failed=int32(snapshot.total_failures),
            average_processing_time_ms=1000 * sum(times) / len(times) if times else 0.0,
            last_updated=self.now(),
        )


def int32(number: int) -> int:
    """A count for the wire, at most the largest int32."""
    return min(number, _INT32)


def _stamp(seconds: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMilliseconds(round(seconds * 1000))
    return stamp


def _failing(checks: Iterable[Check]) -> list[Check]:
    return [check for check in checks if not check.ok]


def _unavailable(checks: list[Check]) -> errors_pb2.Error | None:
    if not checks:
        return None
    return errors_pb2.Error(
        code=errors_pb2.ERROR_CODE_UNAVAILABLE,
        message=f"failing: {', '.join(check.name for check in checks)}",
        details=[errors_pb2.ErrorDetail(field=one.name, reason=one.detail) for one in checks],
    )


def _wanted(message_id: str, event_type: str, job_id: str, wanted_type: str) -> bool:
    return job_id in ("", message_id) and wanted_type in ("", event_type)
