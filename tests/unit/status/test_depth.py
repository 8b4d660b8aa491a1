"""Any number of viewers costs one call of SQS."""

import threading

import pytest
from loguru import logger

from reservation_worker.errors import SqsError
from reservation_worker.sqs.queue import Depths
from reservation_worker.status import depth
from reservation_worker.status.depth import FRESH, DepthReader
from tests.fake_queue import PATIENCE, FakeClock, eventually

SOME = Depths(visible=3, in_flight=2, delayed=1, dead=0)


def test_many_viewers_within_the_fresh_time_cost_one_call() -> None:
    clock, calls = FakeClock(), []
    reader = DepthReader(lambda: calls.append(1) or SOME, clock)
    assert [reader.depths() for _ in range(5)] == [SOME] * 5
    assert len(calls) == 1
    clock.advance(FRESH)
    assert reader.depths() == SOME
    assert len(calls) == 2


def test_no_viewer_waits_long_for_an_sqs_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depth, "PATIENCE", 0.01)
    leave, calls = threading.Event(), []

    def slow() -> Depths:
        calls.append(1)
        assert leave.wait(PATIENCE)
        return SOME

    reader = DepthReader(slow, FakeClock())
    assert [reader.depths() for _ in range(3)] == [None] * 3
    assert len(calls) == 1
    assert not reader.refused
    leave.set()
    eventually(lambda: reader.depths() == SOME)
    assert len(calls) == 1


def test_the_last_answer_has_an_age() -> None:
    clock = FakeClock()
    reader = DepthReader(lambda: SOME, clock)
    assert reader.age is None
    reader.depths()
    clock.advance(FRESH - 1)
    assert reader.age == FRESH - 1


def test_without_a_thread_for_the_call_the_next_viewer_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = DepthReader(lambda: SOME, FakeClock())

    def exhausted(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", exhausted)
        assert reader.depths() is None
    assert reader.depths() == SOME


def test_a_refused_call_is_unknown_and_is_not_repeated_at_once() -> None:
    clock, calls = FakeClock(), []

    def refuse() -> Depths:
        calls.append(1)
        raise SqsError("AccessDenied", "no")

    reader = DepthReader(refuse, clock)
    assert reader.depths() is None
    assert reader.depths() is None
    assert len(calls) == 1
    assert reader.refused


def test_an_unexpected_error_leaves_the_depth_unknown_and_is_logged() -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")

    def read() -> Depths:
        raise ValueError("no number")

    reader = DepthReader(read, FakeClock())
    assert reader.depths() is None
    logger.remove(sink)
    assert reader.refused
    assert lines[0].startswith("the queue's depth can't be read: no number\n")
