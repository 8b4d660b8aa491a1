"""A reservation that is handled outside the pool keeps its deliveries waiting."""

import threading

import pytest

from tests.fake_queue import PATIENCE, eventually
from tests.unit.pipeline.pool_rig import NO_WAIT, MakePool, delivery


def test_a_key_that_is_kept_makes_its_deliveries_wait_and_no_others(
    pool: MakePool,
) -> None:
    made = pool(2)
    made.let_all_go()
    mine, other = delivery(1, "rsv_1"), delivery(2, "rsv_2")
    with made.dispatcher.exclusive("rsv_1", NO_WAIT) as alone:
        assert alone
        assert made.dispatcher.accept([mine, other]) == []
        eventually(lambda: made.ended == [other])
        assert (made.dispatcher.in_flight, made.dispatcher.busy) == (1, 0)
        assert not made.dispatcher.wait_idle(NO_WAIT)
    made.idle()
    assert made.ended == [other, mine]
    assert made.dispatcher.wait_idle(PATIENCE)


def test_a_key_is_not_kept_while_a_delivery_has_it(pool: MakePool) -> None:
    made = pool(2)
    made.accept([delivery(1, "rsv_1")])
    with made.dispatcher.exclusive("rsv_1", NO_WAIT) as alone:
        assert not alone
    waiting: list[bool] = []

    def wait() -> None:
        with made.dispatcher.exclusive("rsv_1", PATIENCE) as alone:
            waiting.append(alone)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    made.let_all_go()
    thread.join(PATIENCE)
    assert waiting == [True]


def test_after_a_close_no_key_is_kept_and_deliveries_that_wait_for_one_are_returned(
    pool: MakePool,
) -> None:
    made = pool(2)
    one = delivery(1, "rsv_1")
    with made.dispatcher.exclusive("rsv_1", NO_WAIT) as first:
        assert first
        made.dispatcher.accept([one])
        assert made.dispatcher.close() == [one]
        with made.dispatcher.exclusive("rsv_2", PATIENCE) as second:
            assert not second
    made.let_all_go()
    assert made.began == []


def test_a_key_comes_back_when_its_holder_fails(pool: MakePool) -> None:
    made = pool(1)
    with pytest.raises(ValueError, match="ours"), made.dispatcher.exclusive("rsv_1", NO_WAIT):
        raise ValueError("ours")
    made.accept([delivery(1, "rsv_1")])
    made.let_all_go()
    made.idle()
