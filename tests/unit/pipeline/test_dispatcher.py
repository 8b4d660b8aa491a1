"""Each delivery runs once, and never beside another of its reservation; the close."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.dispatcher import Dispatcher
from reservation_worker.sqs.queue import Message
from tests.fake_queue import PATIENCE, FakeClock, eventually, opened
from tests.unit.pipeline.pool_rig import NO_WAIT, MakePool, delivery, lasting, some

# Running.


def test_as_many_run_as_there_are_threads(pool: MakePool) -> None:
    made = pool(3)
    made.accept(some(10), running=3)
    assert len(made.dispatcher.running()) == 3


def test_a_running_delivery_has_its_start(pool: MakePool) -> None:
    made = pool(1)
    [one] = some(1)
    made.accept([one])
    assert one.started_at == made.clock()


def test_approved_payments_go_first_when_a_thread_is_free(pool: MakePool) -> None:
    made = pool(1)
    first, expired, approved = (
        delivery(1),
        delivery(2),
        delivery(3, kind="payment.approved"),
    )
    made.accept([first])
    made.accept([expired, approved], running=1)
    made.let_all_go()
    made.idle()
    assert made.began == [first, approved, expired]


def test_two_of_one_reservation_never_run_at_the_same_time(
    pool: MakePool,
) -> None:
    made = pool(4)
    first, second, other = delivery(1, "rsv_1"), delivery(2, "rsv_1"), delivery(3, "rsv_2")
    made.accept([first, second, other], running=2)
    assert set(made.dispatcher.running()) == {first, other}
    assert made.dispatcher.in_flight == 3
    made.let_go(first)
    eventually(lambda: second in made.began)
    assert made.ended == [first]


def test_two_copies_of_one_message_never_run_at_the_same_time(
    pool: MakePool,
) -> None:
    made = pool(4)
    copies = [opened(Message("m1", f"m1#{n}", "no JSON"), 0.0, lasting) for n in (1, 2)]
    made.accept(copies, running=1)
    assert made.dispatcher.running() == copies[:1]
    made.let_all_go()
    made.idle()
    assert made.ended == copies


def test_an_unexpected_error_frees_the_slot_and_the_reservation() -> None:
    ended: list[str] = []

    def work(one: Delivery) -> None:
        if not ended:
            ended.append("failed")
            raise SystemExit("a bug")
        ended.append(one.message.id)

    dispatcher = Dispatcher(1, work, FakeClock())
    dispatcher.accept([delivery(1, "rsv_1"), delivery(2, "rsv_1"), delivery(3)])
    eventually(lambda: dispatcher.in_flight == 0)
    assert sorted(ended) == ["failed", "m2", "m3"]
    assert dispatcher.busy == 0
    dispatcher.shutdown()


def test_under_load_each_runs_once_and_none_beside_another_of_its_reservation() -> None:
    lock = threading.Lock()
    busy: set[str] = set()
    ended: list[Delivery] = []
    clashes: list[str] = []

    def work(one: Delivery) -> None:
        with lock:
            if one.key in busy:
                clashes.append(one.key)
            busy.add(one.key)
        threading.Event().wait(0.0005)
        with lock:
            busy.discard(one.key)
            ended.append(one)

    dispatcher = Dispatcher(8, work, FakeClock())
    sent: list[Delivery] = []
    while len(sent) < 600:
        room = dispatcher.room(None, PATIENCE)
        assert 0 < room <= 10
        batch = [delivery(len(sent) + n, f"rsv_{(len(sent) + n) % 7}") for n in range(room)]
        sent += batch
        assert dispatcher.accept(batch) == []
        assert dispatcher.in_flight <= dispatcher.slots
    eventually(lambda: dispatcher.in_flight == 0)
    assert clashes == []
    assert len(ended) == len(set(ended)) == len(sent)
    for reservation in {one.key for one in sent}:
        assert [one for one in ended if one.key == reservation] == [
            one for one in sent if one.key == reservation
        ]
    dispatcher.shutdown()


def test_all_threads_exist_after_the_start(pool: MakePool, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pool(4)
    made.dispatcher.start()
    monkeypatch.setattr(threading.Thread, "start", _refuse)
    made.accept(some(4), running=4)
    made.let_all_go()
    made.idle()


def test_a_start_that_gets_too_few_threads_raises_and_leaves_none_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dispatcher = Dispatcher(3, lambda delivery: None, FakeClock())
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def start_two(thread: threading.Thread) -> None:
        if len(started) == 2:
            _refuse(thread)
        started.append(thread)
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start_two)
        with pytest.raises(RuntimeError, match="new thread"):
            dispatcher.start()
    dispatcher.shutdown()
    eventually(lambda: not any(thread.is_alive() for thread in started))


def _refuse(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


# The stop.


def test_a_close_returns_the_deliveries_that_have_not_started_and_starts_none(
    pool: MakePool,
) -> None:
    made = pool(1)
    running, behind, waiting = delivery(1, "rsv_1"), delivery(2, "rsv_1"), delivery(3)
    made.accept([running, behind, waiting], running=1)
    assert set(made.dispatcher.close()) == {behind, waiting}
    assert (made.dispatcher.in_flight, made.dispatcher.room(None, NO_WAIT)) == (1, 0)
    made.let_all_go()
    assert made.dispatcher.wait_idle(PATIENCE)
    made.idle()
    assert made.began == [running]


def test_deliveries_that_come_after_the_close_are_returned(pool: MakePool) -> None:
    made = pool(1)
    assert made.dispatcher.close() == []
    late = some(2)
    assert made.dispatcher.accept(late) == late
    assert made.dispatcher.in_flight == 0


def test_a_second_close_returns_nothing(pool: MakePool) -> None:
    made = pool(1)
    made.accept(some(2), running=1)
    assert len(made.dispatcher.close()) == 1
    assert made.dispatcher.close() == []
    assert made.dispatcher.in_flight == 1


def test_waiting_for_idle_gives_up_in_time(pool: MakePool) -> None:
    made = pool(1)
    made.accept(some(1))
    assert not made.dispatcher.wait_idle(0.01)
    made.let_all_go()
    assert made.dispatcher.wait_idle(PATIENCE)


def test_tasks_do_not_pile_up_while_all_threads_are_busy(
    pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[Future[None]] = []
    submit = ThreadPoolExecutor.submit

    def noted(executor: ThreadPoolExecutor, *args: Any) -> Future[None]:
        tasks.append(submit(executor, *args))
        return tasks[-1]

    monkeypatch.setattr(ThreadPoolExecutor, "submit", noted)
    made = pool(2)
    running = some(2)
    made.accept(running)
    for first in range(2, 200, 2):
        made.let_go(*running)
        eventually(lambda: made.dispatcher.busy == 0)
        running = some(2, first)
        made.accept(running)
        waiting = some(8, 1000 + first * 8)
        made.dispatcher.accept(waiting)
        made.let_go(*waiting)
    assert sum(not task.running() and not task.done() for task in tasks) <= 2
    made.let_all_go()
    made.idle()
