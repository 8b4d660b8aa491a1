"""Any number of viewers costs one call of SQS."""

import threading

from reservation_worker.errors import SqsError
from reservation_worker.pipeline.depth import FRESH, DepthReader
from reservation_worker.pipeline.sqs import Depths
from tests.fake_queue import PATIENCE, FakeClock

SOME = Depths(visible=3, in_flight=2, delayed=1, dead=0)


def test_many_viewers_within_the_fresh_time_cost_one_call() -> None:
    clock, calls = FakeClock(), []
    reader = DepthReader(lambda: calls.append(1) or SOME, clock)
    assert [reader.depths() for _ in range(5)] == [SOME] * 5
    assert len(calls) == 1
    clock.advance(FRESH)
    assert reader.depths() == SOME
    assert len(calls) == 2


def test_nobody_waits_for_the_call_of_another_viewer() -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow() -> Depths:
        entered.set()
        assert leave.wait(PATIENCE)
        return SOME

    reader = DepthReader(slow, FakeClock())
    first = threading.Thread(target=reader.depths)
    first.start()
    assert entered.wait(PATIENCE)
    assert reader.depths() is None
    leave.set()
    first.join()
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
