"""Each completion is counted, logged in one line, and handed to the watchers of outcomes."""

from typing import Any

import pytest

from reservation_worker.outcome import Ack, Completed, DeadLetterReason, Outcome, Reject, Retry
from reservation_worker.pipeline.custody import Ending
from tests.fake_queue import event_body
from tests.unit.pipeline.rig import PERMANENT, CompleterRig


def reported(lines: list[dict[str, Any]]) -> dict[str, Any]:
    [line] = [line for line in lines if "outcome" in line]
    return line


def test_each_completion_is_one_log_line(rig: CompleterRig, lines: list[dict[str, Any]]) -> None:
    [delivery] = rig.received(event_body("payment.approved", "rsv_7"), times=2)
    rig.clock.advance(0.25)
    rig.completer.complete(delivery, Ack(order_id="ord_1"), trace_id="abc")
    line = reported(lines)
    assert {
        "level": "INFO",
        "msg": "settled",
        "event_type": "payment.approved",
        "reservation_id": "rsv_7",
        "event_id": "evt_1",
        "trace_id": "abc",
        "duration_ms": 250,
        "outcome": "success",
        "attempt": 2,
        "order_id": "ord_1",
    }.items() <= line.items()


def test_a_warning_raises_the_level_of_the_line(
    rig: CompleterRig, lines: list[dict[str, Any]]
) -> None:
    rig.complete(Ack(warning="state None"), event_body(qty=3))
    line = reported(lines)
    assert line["level"] == "WARNING"
    assert len(line["warnings"]) == 2


@pytest.mark.parametrize(
    ("outcome", "level", "error"),
    [(Retry("down"), "WARNING", "down"), (PERMANENT, "ERROR", "no seats")],
)
def test_the_line_of_a_failure_has_its_error(
    rig: CompleterRig, lines: list[dict[str, Any]], outcome: Outcome, level: str, error: str
) -> None:
    rig.complete(outcome)
    line = reported(lines)
    assert (line["level"], line["error"]) == (level, error)


def test_an_invalid_body_has_a_line_too(rig: CompleterRig, lines: list[dict[str, Any]]) -> None:
    rig.complete(Reject(DeadLetterReason.INVALID_PAYLOAD, "not JSON"), "{")
    line = reported(lines)
    assert (line["event_type"], line["outcome"]) == ("unknown", "invalid_payload")
    assert line["dlq_reason"] == "invalid_payload"


def test_a_watcher_sees_each_completion(rig: CompleterRig) -> None:
    rig.complete(Ack())
    rig.complete(Retry("no answer"))
    rig.complete(PERMANENT)
    assert [(one.counted, one.reason, one.error) for one in rig.watched] == [
        ("success", None, None),
        ("retried", "neighbour", "no answer"),
        ("failed", "permanent_error", "no seats"),
    ]
    first = rig.watched[0]
    assert (first.label, first.event_type) == ("expired", "reservation.expired")
    assert (first.reservation_id, first.event_id) == ("rsv_1", "evt_1")
    assert (first.attempt, first.at) == (1, 1_767_323_045.0)


def test_a_lost_delivery_is_not_reported(rig: CompleterRig) -> None:
    [delivery] = rig.received()
    rig.clock.advance(rig.visibility + 1)
    rig.completer.complete(delivery, Retry("too late"))
    assert rig.watched == []


def test_a_watcher_that_raises_does_not_touch_the_completion(
    rig: CompleterRig, lines: list[dict[str, Any]]
) -> None:
    def broken(completed: Completed) -> None:
        raise RuntimeError("a bug")

    rig.watchers.insert(0, broken)
    rig.complete(Retry("down"))
    rig.complete(Ack())
    assert rig.events() == {"retried": 1, "success": 1}
    assert [one.counted for one in rig.watched] == ["retried", "success"]
    assert rig.custody.endings == {Ending.GIVEN_BACK: 1, Ending.DELETED: 1}
    assert [line["level"] for line in lines].count("ERROR") == 2
