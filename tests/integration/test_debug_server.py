"""The debug server over real gRPC, in front of a whole worker on a fake queue."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from loguru import logger

from reservation_worker.errors import (
    LeaseLost,
    OperationError,
    PermanentError,
    SqsError,
    TransientError,
)
from reservation_worker.events.parse import Event
from reservation_worker.handlers.settlement import Neighbours
from reservation_worker.outcome import Ack, DeadLetterReason, Outcome, Reject
from reservation_worker.pipeline.neighbours import INVENTORY
from reservation_worker.servers.debug.state import int32
from reservation_worker.sqs.queue import Depths
from reservation_worker.status.recent import RecentOutcomes
from reservation_worker.stubs.proto.common.v1 import errors_pb2, types_pb2
from reservation_worker.stubs.proto.reservation.v1 import worker_pb2 as pb
from reservation_worker.stubs.proto.reservation.v1 import worker_pb2_grpc
from tests.fake_queue import PATIENCE, FakeQueue, eventually, sample
from tests.integration.worker_rig import MakeWorker, Worker, worker

__all__ = ["worker"]

SERVICE = "reservation.v1.WorkerService"
Status = health_pb2.HealthCheckResponse


class Client:
    """A started worker and a channel to its debug server."""

    def __init__(self, made: Worker) -> None:
        self.worker = made
        made.app.start()
        eventually(lambda: made.app.pipeline.poller.has_received)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{made.app.debug.port}")
        stub: Any = worker_pb2_grpc
        self.service: Any = stub.WorkerServiceStub(self.channel)
        self.health: Any = health_pb2_grpc.HealthStub(self.channel)
        self.threads = ThreadPoolExecutor(8)

    def expire(self, reservation: str, **more: Any) -> pb.ProcessReservationExpiryResponse:
        timeout = more.pop("timeout", PATIENCE)
        request = pb.ProcessReservationExpiryRequest(reservation_id=reservation, **more)
        answer: pb.ProcessReservationExpiryResponse = self.service.ProcessReservationExpiry(
            request, timeout=timeout
        )
        return answer

    def pay(self, reservation: str, kind: str, **more: Any) -> pb.ProcessPaymentResultResponse:
        result = pb.PaymentResultType.Value(f"PAYMENT_RESULT_TYPE_{kind}")
        request = pb.ProcessPaymentResultRequest(
            reservation_id=reservation, result_type=result, **more
        )
        answer: pb.ProcessPaymentResultResponse = self.service.ProcessPaymentResult(
            request, timeout=PATIENCE
        )
        return answer

    def expiring(self, reservation: str, **more: Any) -> Future[Any]:
        return self.threads.submit(self.expire, reservation, **more)

    def close(self) -> None:
        self.worker.work.let_go()
        self.threads.shutdown()
        self.channel.close()


MakeClient = Callable[..., Client]


@pytest.fixture
def client(worker: MakeWorker) -> Iterator[MakeClient]:
    made: list[Client] = []

    def make(**changes: Any) -> Client:
        made.append(Client(worker(**{"grpc_debug_allow_write": True} | changes)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged from here on."""
    written: list[str] = []
    sink = logger.add(written.append, format="{message}")
    yield written
    logger.remove(sink)


def refused(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    """The status and the text of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    return error.code(), error.details()


# Reading.


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


# Settling.


def test_a_read_only_server_settles_nothing_and_names_the_setting_to_change(
    client: MakeClient,
) -> None:
    made = client(grpc_debug_allow_write=False)
    for call in (lambda: made.expire("rsv_1"), lambda: made.pay("rsv_1", "APPROVED")):
        code, text = refused(call)
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert "GRPC_DEBUG_ALLOW_WRITE=true" in text
    assert made.worker.work.began == []


def test_compensation_is_refused_with_the_manual_procedure(client: MakeClient) -> None:
    made = client()
    asked = pb.ProcessCompensationRequest(reservation_id="rsv_1")
    code, text = refused(lambda: made.service.ProcessCompensation(asked))
    assert (code, "compensations" in text) == (grpc.StatusCode.UNIMPLEMENTED, True)


def test_an_expiry_is_settled_by_the_handler_and_leaves_the_queue_alone(
    client: MakeClient,
) -> None:
    made = client()
    seen: list[Event] = []

    def settle(event: Event, neighbours: Neighbours) -> Outcome:
        seen.append(event)
        return Ack(seat_ids=event.seat_ids or ())

    made.worker.work.then = settle
    answer = made.expire(
        "rsv_1", event_id="show", seat_ids=["A1", "A2"], quantity=2, correlation_id="op-7"
    )
    assert (answer.status, answer.next_action) == (pb.PROCESSING_STATUS_SUCCESS, "completed")
    assert [(one.id, one.status) for one in answer.released_seats] == [
        ("A1", types_pb2.SEAT_STATUS_AVAILABLE),
        ("A2", types_pb2.SEAT_STATUS_AVAILABLE),
    ]
    [event] = seen
    assert (event.event_id, event.seat_ids, event.qty) == ("show", ("A1", "A2"), 2)
    assert event.trace.trace_ids == ("op-7",)
    metrics = made.worker.app.metrics
    timed = "worker_processing_duration_seconds_count"
    assert sample(metrics, timed, handler="expired", outcome="success") == 1
    assert made.worker.queue.calls("delete") == made.worker.queue.calls("change_visibility") == []


def fail(error: Exception) -> Outcome:
    raise error


@pytest.mark.parametrize(
    ("outcome", "retry_count", "status", "action", "reason"),
    [
        (lambda: Ack("superseded"), 0, "SKIPPED", "completed", None),
        (lambda: fail(TransientError("busy")), 0, "RETRY", "retry", "neighbour"),
        (lambda: fail(TransientError("busy")), 29, "DLQ", "dlq", "retries_exhausted"),
        (
            lambda: Reject(DeadLetterReason.PERMANENT_ERROR, "no"),
            0,
            "FAILED",
            "dlq",
            "permanent_error",
        ),
        (
            lambda: Reject(DeadLetterReason.COMPENSATION_REQUIRED, "paid"),
            0,
            "DLQ",
            "dlq",
            "compensation_required",
        ),
        (lambda: fail(ValueError("secret of ours")), 0, "RETRY", "retry", "bug"),
    ],
)
def test_an_outcome_is_returned_to_the_caller_alone(
    client: MakeClient,
    outcome: Callable[[], Outcome],
    retry_count: int,
    status: str,
    action: str,
    reason: str | None,
) -> None:
    made = client()
    made.worker.work.then = lambda event, neighbours: outcome()
    answer = made.pay("rsv_1", "APPROVED", payment_intent_id="pay_1", retry_count=retry_count)
    assert answer.status == pb.ProcessingStatus.Value(f"PROCESSING_STATUS_{status}")
    assert answer.next_action == action
    assert [one.reason for one in answer.error.details] == ([reason] if reason else [])
    assert bool(answer.error.trace_id) == bool(reason)
    assert "secret" not in answer.error.message
    assert made.worker.queue.dlq == []


def test_a_reason_with_characters_that_utf_8_can_not_encode_is_returned_all_the_same(
    client: MakeClient,
) -> None:
    made = client()
    reason = "paid, but the reservation is \ud800"
    made.worker.work.then = lambda event, neighbours: Reject(
        DeadLetterReason.COMPENSATION_REQUIRED, reason
    )
    answer = made.pay("rsv_1", "APPROVED", payment_intent_id="pay_1")
    assert answer.status == pb.PROCESSING_STATUS_DLQ
    assert answer.error.message == "paid, but the reservation is ?"


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        ("APPROVED", "approved"),
        ("FAILED", "failed"),
        ("CANCELLED", "failed"),
        ("TIMEOUT", "failed"),
    ],
)
def test_a_payments_result_is_settled_as_its_event_would_be(
    client: MakeClient, result: str, kind: str
) -> None:
    made = client()
    seen: list[Event] = []

    def settle(event: Event, neighbours: Neighbours) -> Outcome:
        seen.append(event)
        return Ack(order_id="ord_1", seat_ids=("A1",))

    made.worker.work.then = settle
    answer = made.pay("rsv_1", result, event_data=pb.PaymentEventData(payment_intent_id="pay_1"))
    assert [(one.kind.label, one.payment_intent_id) for one in seen] == [(kind, "pay_1")]
    assert answer.order_id == "ord_1"
    sold = types_pb2.SEAT_STATUS_SOLD if kind == "approved" else types_pb2.SEAT_STATUS_AVAILABLE
    assert [(one.id, one.status) for one in answer.affected_seats] == [("A1", sold)]


def test_a_settlement_that_ends_in_the_middle_leaves_a_line_in_the_log(
    client: MakeClient, lines: list[str]
) -> None:
    made = client()
    made.worker.work.then = lambda event, neighbours: fail(LeaseLost("over"))
    code, text = refused(lambda: made.expire("rsv_1"))
    assert (code, "its effects so far stand" in text) == (grpc.StatusCode.UNAVAILABLE, True)
    assert "asked over the debug server: ProcessReservationExpiryRequest\n" in lines


def test_a_refund_is_skipped(client: MakeClient) -> None:
    made = client()
    answer = made.pay("rsv_1", "REFUNDED")
    assert (answer.status, answer.next_action) == (pb.PROCESSING_STATUS_SKIPPED, "completed")
    assert made.worker.work.began == []


def test_a_request_that_is_wrong_as_an_event_would_be_is_refused(client: MakeClient) -> None:
    made = client()
    two = pb.PaymentEventData(payment_intent_id="pay_2")
    calls: list[Callable[[], Any]] = [
        lambda: made.expire(""),
        lambda: made.expire("rsv_1/../../x"),
        lambda: made.expire("rsv_1\n"),
        lambda: made.expire("rsv_1", quantity=-1),
        lambda: made.expire("rsv_1", seat_ids=[""]),
        lambda: made.expire("rsv_1", retry_count=-1),
        lambda: made.pay("rsv_1", "UNSPECIFIED"),
        lambda: made.pay("", "REFUNDED"),
        lambda: made.pay("rsv_1", "FAILED", payment_intent_id="pay_1", event_data=two),
    ]
    for call in calls:
        assert refused(call)[0] is grpc.StatusCode.INVALID_ARGUMENT
    assert made.worker.work.began == []


def test_a_request_too_large_is_refused(client: MakeClient) -> None:
    made = client()
    code, _ = refused(lambda: made.expire("rsv_1", seat_ids=["x" * 70_000]))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert made.worker.work.began == []


def test_a_message_of_the_reservation_waits_until_the_settlement_has_ended(
    client: MakeClient,
) -> None:
    made = client()
    made.worker.work.stand_still("rsv_1")
    answer = made.expiring("rsv_1")
    eventually(lambda: made.worker.work.began == ["rsv_1"])
    made.worker.send("rsv_1", "rsv_2")
    eventually(lambda: made.worker.work.began == ["rsv_1", "rsv_2"])
    eventually(lambda: made.worker.app.pipeline.dispatcher.in_flight == 1)
    assert made.worker.app.pipeline.dispatcher.busy == 0
    made.worker.work.let_go()
    assert answer.result(PATIENCE).status == pb.PROCESSING_STATUS_SUCCESS
    eventually(lambda: made.worker.work.began == ["rsv_1", "rsv_2", "rsv_1"])
    eventually(lambda: not made.worker.queue.left())


def test_a_settlement_waits_until_the_message_of_its_reservation_has_ended(
    client: MakeClient, lines: list[str]
) -> None:
    made = client()
    made.worker.work.stand_still("rsv_1")
    made.worker.send("rsv_1")
    eventually(lambda: made.worker.work.began == ["rsv_1"])
    answer = made.expiring("rsv_1")
    assert refused(lambda: made.expire("rsv_1", timeout=0.1))[0] in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    )
    # The server may notice the refused one's deadline later than its caller.
    eventually(lambda: "asked over the debug server: ProcessReservationExpiryRequest\n" in lines)
    assert made.worker.work.began == ["rsv_1"]
    made.worker.work.let_go()
    assert answer.result(PATIENCE).status == pb.PROCESSING_STATUS_SUCCESS
    assert made.worker.work.began == ["rsv_1", "rsv_1"]


def test_settlements_beyond_two_at_once_are_refused_and_reads_go_on(client: MakeClient) -> None:
    made = client()
    made.worker.work.stand_still("rsv_1", "rsv_2")
    under_way = [made.expiring("rsv_1"), made.expiring("rsv_2")]
    eventually(lambda: len(made.worker.work.began) == 2)
    assert refused(lambda: made.expire("rsv_3"))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert made.service.HealthCheck(pb.HealthCheckRequest()).status == pb.WORKER_STATUS_HEALTHY
    made.worker.work.let_go()
    for one in under_way:
        one.result(PATIENCE)
    assert made.expire("rsv_3").status == pb.PROCESSING_STATUS_SUCCESS


def test_while_a_breaker_is_open_nothing_is_tried_and_the_answer_is_retry(
    client: MakeClient,
) -> None:
    made = client()
    trip(made.worker)
    answer = made.expire("rsv_1")
    assert (answer.status, answer.next_action) == (pb.PROCESSING_STATUS_RETRY, "retry")
    assert answer.error.code == errors_pb2.ERROR_CODE_UNAVAILABLE
    assert made.worker.work.began == []


def trip(made: Worker) -> None:
    breaker = made.app.pipeline.breakers.of(INVENTORY)
    for number in range(10):
        breaker.record(breaker.admit(), f"m{number}", ok=False)


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


# The stop.


def test_a_stop_refuses_new_settlements_at_once_and_lets_a_running_one_end(
    client: MakeClient,
) -> None:
    made = client()
    made.worker.work.stand_still("rsv_1")
    under_way = made.expiring("rsv_1")
    eventually(lambda: made.worker.work.began == ["rsv_1"])
    stopping = made.worker.stopping()
    eventually(lambda: made.worker.app.pipeline.poller.join(0))
    assert refused(lambda: made.expire("rsv_2"))[0] is grpc.StatusCode.UNAVAILABLE
    asked = pb.HealthCheckRequest()
    assert made.service.HealthCheck(asked).status == pb.WORKER_STATUS_TERMINATED
    whole = health_pb2.HealthCheckRequest()
    assert made.health.Check(whole).status == Status.NOT_SERVING
    assert not stopping.done
    made.worker.work.let_go()
    assert under_way.result(PATIENCE).status == pb.PROCESSING_STATUS_SUCCESS
    assert stopping.code() == 0
    assert refused(lambda: made.service.HealthCheck(asked))[0] is grpc.StatusCode.UNAVAILABLE


def test_a_settlement_that_hangs_does_not_hold_up_the_stop_and_makes_no_call_after_it(
    client: MakeClient,
) -> None:
    made = client(shutdown_timeout=2.5)
    made.worker.work.stand_still("rsv_1")
    made.worker.work.then = lambda event, neighbours: Ack(str(neighbours.get("rsv_1")))
    under_way = made.expiring("rsv_1")
    eventually(lambda: made.worker.work.began == ["rsv_1"])
    assert made.worker.stop() == 0
    made.worker.work.let_go()
    eventually(lambda: made.worker.work.errors)
    assert [type(one) for one in made.worker.work.errors] == [LeaseLost]
    assert isinstance(under_way.exception(PATIENCE), grpc.RpcError)


def test_a_port_that_is_taken_is_an_error_with_the_systems_reason(client: MakeClient) -> None:
    taken = client().worker.app.debug.port
    with pytest.raises(OperationError, match=rf"GRPC_DEBUG_PORT {taken}.*Address already in use"):
        Worker(grpc_debug_port=taken)
