"""Settlements over the debug server, in front of a whole worker on a fake queue."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from reservation_worker.errors import (
    LeaseLost,
    TransientError,
)
from reservation_worker.events.parse import Event
from reservation_worker.handlers.settlement import Neighbours
from reservation_worker.outcome import Ack, DeadLetterReason, Outcome, Reject
from reservation_worker.stubs.proto.common.v1 import errors_pb2, types_pb2
from reservation_worker.stubs.proto.reservation.v1 import worker_pb2 as pb
from tests.fake_queue import PATIENCE, eventually, sample
from tests.integration.debug_rig import MakeClient, Status, fail, refused, trip


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
