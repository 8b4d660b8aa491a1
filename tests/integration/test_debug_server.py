"""The debug server over real gRPC: reads, health and warnings, in front of a whole worker."""

import grpc
import pytest
from grpc_health.v1 import health_pb2

from reservation_worker.errors import (
    OperationError,
    PermanentError,
    SqsError,
    TransientError,
)
from reservation_worker.servers.debug.state import int32
from reservation_worker.sqs.queue import Depths
from reservation_worker.status.recent import RecentOutcomes
from reservation_worker.stubs.proto.common.v1 import errors_pb2
from reservation_worker.stubs.proto.reservation.v1 import worker_pb2 as pb
from tests.fake_queue import PATIENCE, FakeQueue, eventually
from tests.integration.debug_rig import MakeClient, Status, fail, refused, trip
from tests.integration.worker_rig import Worker

SERVICE = "reservation.v1.WorkerService"


def test_a_worker_at_work_is_healthy_and_reports_its_counts(client: MakeClient) -> None:
    made = client()
    made.worker.send("rsv_1", "rsv_2")
    made.worker.queue.send("no JSON")
    eventually(lambda: not made.worker.queue.left())
    answer = made.service.HealthCheck(pb.HealthCheckRequest())
    assert answer.status == pb.WORKER_STATUS_HEALTHY
    assert (answer.processed_events_count, answer.failed_events_count) == (3, 1)
    assert answer.started_at.ToMilliseconds() <= answer.last_processed_at.ToMilliseconds()
    assert answer.queue_depth == 0
    assert not answer.HasField("error")


def test_a_depth_that_sqs_does_not_report_is_minus_one(
    client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(queue: FakeQueue) -> Depths:
        raise SqsError("AccessDenied", "no")

    monkeypatch.setattr(FakeQueue, "depths", refuse)
    assert client().service.HealthCheck(pb.HealthCheckRequest()).queue_depth == -1


def test_a_worker_that_is_not_ready_is_degraded_with_the_failing_checks(client: MakeClient) -> None:
    made = client()
    trip(made.worker)
    answer = made.service.HealthCheck(pb.HealthCheckRequest())
    assert answer.status == pb.WORKER_STATUS_DEGRADED
    assert answer.error.code == errors_pb2.ERROR_CODE_UNAVAILABLE
    assert [(one.field, one.reason) for one in answer.error.details] == [
        ("breaker_inventory", "open")
    ]


def test_a_request_for_another_worker_is_refused(client: MakeClient) -> None:
    made = client(pod_name="pod-1")
    asked = pb.HealthCheckRequest(worker_instance_id="pod-2")
    code, text = refused(lambda: made.service.HealthCheck(asked))
    assert (code, "pod-1" in text) == (grpc.StatusCode.NOT_FOUND, True)
    asked.worker_instance_id = "pod-1"
    assert made.service.HealthCheck(asked).status == pb.WORKER_STATUS_HEALTHY


def test_a_message_is_a_job_that_runs_and_then_has_ended(client: MakeClient) -> None:
    made = client()
    made.worker.work.stand_still("rsv_1")
    [first] = made.worker.send("rsv_1")
    eventually(lambda: made.worker.app.pipeline.dispatcher.busy == 1)

    answer = made.service.GetJobStatus(pb.GetJobStatusRequest(job_id=first))
    assert [one.status for one in answer.jobs] == [pb.JOB_INSTANCE_STATUS_RUNNING]
    assert (answer.metrics.total_active_jobs, answer.metrics.total_events_processing) == (1, 1)

    made.worker.work.let_go()
    eventually(lambda: not made.worker.queue.left())
    answer = made.service.GetJobStatus(pb.GetJobStatusRequest(job_id=first))
    [job] = answer.jobs
    assert (job.status, job.events_processed, job.events_failed) == (
        pb.JOB_INSTANCE_STATUS_COMPLETED,
        1,
        0,
    )
    assert job.started_at.ToNanoseconds() <= job.completed_at.ToNanoseconds()
    assert (answer.metrics.total_events_completed, answer.metrics.total_active_jobs) == (1, 0)
    assert answer.metrics.average_processing_time_ms > 0


def test_a_message_given_back_is_pending_and_a_dead_letter_has_failed(client: MakeClient) -> None:
    made = client()
    made.worker.work.then = lambda event, neighbours: fail(TransientError("busy"))
    [back] = made.worker.send("rsv_1")
    dead = made.worker.queue.send("no JSON")
    eventually(lambda: len(made.service.GetJobStatus(pb.GetJobStatusRequest()).jobs) == 2)
    jobs = {one.job_id: one for one in made.service.GetJobStatus(pb.GetJobStatusRequest()).jobs}
    assert jobs[back].status == pb.JOB_INSTANCE_STATUS_PENDING
    assert not jobs[back].HasField("completed_at")
    assert (jobs[dead].status, jobs[dead].events_failed) == (pb.JOB_INSTANCE_STATUS_FAILED, 1)
    only = made.service.GetJobStatus(pb.GetJobStatusRequest(event_type="reservation.expired"))
    assert [one.job_id for one in only.jobs] == [back]


def test_an_unknown_job_is_not_found_and_an_unknown_type_is_refused(
    client: MakeClient,
) -> None:
    made = client()
    answer = made.service.GetJobStatus(pb.GetJobStatusRequest(job_id="m99"))
    assert (list(answer.jobs), answer.error.code) == ([], errors_pb2.ERROR_CODE_NOT_FOUND)
    asked = pb.GetJobStatusRequest(event_type="payment.aproved")
    code, text = refused(lambda: made.service.GetJobStatus(asked))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "payment.approved" in text


def test_a_count_beyond_int32_stops_at_the_largest() -> None:
    assert [int32(number) for number in (5, 2**31 - 1, 2**31, 2**40)] == [5, *[2**31 - 1] * 3]


# grpc.health.v1.


@pytest.mark.parametrize("service", ["", SERVICE])
def test_the_health_service_follows_ready_at_each_check(client: MakeClient, service: str) -> None:
    made = client()
    asked = health_pb2.HealthCheckRequest(service=service)
    assert made.health.Check(asked).status == Status.SERVING
    trip(made.worker)
    assert made.health.Check(asked).status == Status.NOT_SERVING


def test_the_health_of_an_unknown_service_is_not_found(client: MakeClient) -> None:
    made = client()
    asked = health_pb2.HealthCheckRequest(service="reservation.v1.InventoryService")
    assert refused(lambda: made.health.Check(asked))[0] is grpc.StatusCode.NOT_FOUND


def test_the_health_of_every_service_is_listed(client: MakeClient) -> None:
    found = client().health.List(health_pb2.HealthListRequest()).statuses
    assert {name: one.status for name, one in found.items()} == dict.fromkeys(
        ["", SERVICE], Status.SERVING
    )


def test_watch_is_unimplemented_and_points_to_check(client: MakeClient) -> None:
    made = client()
    watch = made.health.Watch(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
    assert refused(lambda: next(watch)) == (
        grpc.StatusCode.UNIMPLEMENTED,
        "Watch is not supported: use Check",
    )


def test_a_bug_is_an_error_without_its_text(
    client: MakeClient, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = client()
    monkeypatch.setattr(
        RecentOutcomes, "snapshot", lambda self: fail(PermanentError("inside of ours"))
    )
    code, text = refused(lambda: made.service.HealthCheck(pb.HealthCheckRequest()))
    assert (code, text) == (grpc.StatusCode.INTERNAL, "an error of the worker, see its log")
    assert any("inside of ours" in line for line in lines)


@pytest.mark.parametrize(
    ("host", "writes", "warned"),
    [("0.0.0.0", True, True), ("0.0.0.0", False, False), ("127.0.0.1", True, False)],
)
def test_the_log_warns_of_a_server_that_others_may_reach_and_write_to(
    client: MakeClient, lines: list[str], host: str, writes: bool, warned: bool
) -> None:
    client(grpc_debug_host=host, grpc_debug_allow_write=writes)
    assert any("anybody who reaches port" in line for line in lines) is warned


def test_a_port_that_is_taken_is_an_error_with_the_systems_reason(client: MakeClient) -> None:
    taken = client().worker.app.debug.port
    with pytest.raises(OperationError, match=rf"GRPC_DEBUG_PORT {taken}.*Address already in use"):
        Worker(grpc_debug_port=taken)
