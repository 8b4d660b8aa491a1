"""The poller never dies of a failed receive, and one that hangs is noticed."""

import pytest

from reservation_worker.pipeline.poller import LATE
from tests.fake_queue import PATIENCE, eventually, sample
from tests.unit.pipeline.poller_rig import WAIT, MakePoller


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The longest length of each pause after an error; the pauses themselves are none."""
    found: list[float] = []

    def no_pause(longest: float) -> float:
        found.append(longest)
        return 0.0

    monkeypatch.setattr("backoff.full_jitter", no_pause)
    return found


# Errors.


def test_failed_receives_are_counted_and_followed_by_growing_pauses(
    poller: MakePoller, pauses: list[float]
) -> None:
    made = poller()
    made.queue.fail("receive", times=7)
    made.start()
    eventually(lambda: made.poller.has_received)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert sample(made.metrics, "sqs_poll_errors_total") == 7


def test_a_receive_that_works_ends_the_row_of_errors(
    poller: MakePoller, pauses: list[float]
) -> None:
    made = poller()
    made.queue.fail("receive", times=3)
    row: list[int] = []
    made.queue.during("receive", lambda: row.append(made.poller.errors_in_a_row))
    made.start()
    eventually(lambda: len(made.receives) == 5)
    assert (row, made.poller.errors_in_a_row) == ([3], 0)
    # The next row starts with a short pause again.
    made.queue.fail("receive")
    made.queue.send()
    made.clock.advance(WAIT)
    eventually(lambda: len(pauses) == 4)
    assert pauses == [1, 2, 4, 1]


def test_the_poller_goes_on_after_an_unexpected_error(
    poller: MakePoller, pauses: list[float]
) -> None:
    made = poller()

    def fail() -> None:
        raise RuntimeError("a bug")

    made.queue.during("receive", fail)
    made.queue.send()
    made.start()
    made.taken_one()
    assert sample(made.metrics, "sqs_poll_errors_total") == 1
    assert not made.poller.late()


def test_a_stop_cuts_a_pause_short(poller: MakePoller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backoff.full_jitter", lambda longest: 3_600.0)
    made = poller()
    made.queue.fail("receive")
    made.start()
    eventually(lambda: made.poller.errors_in_a_row)
    made.poller.stop()
    assert made.poller.join(PATIENCE)


# Late.


def test_a_poller_that_has_not_been_started_is_not_late(poller: MakePoller) -> None:
    made = poller()
    made.clock.advance(3_600)
    assert not made.poller.late()
    assert made.poller.silent() == 0


def test_a_stopped_poller_is_not_silent(poller: MakePoller) -> None:
    made = poller()
    made.start()
    made.poller.stop()
    made.clock.advance(3_600)
    assert made.poller.silent() == 0


def test_a_receive_that_hangs_makes_the_poller_late_until_it_ends(poller: MakePoller) -> None:
    made = poller()
    call = made.queue.hold("receive")
    made.start()
    call.wait_entered()
    made.clock.advance(WAIT + LATE)
    assert not made.poller.late()
    assert made.poller.silent() == WAIT + LATE
    made.clock.advance(1)
    assert made.poller.late()
    call.release()
    eventually(lambda: not made.poller.late())
    assert made.poller.silent() == 0


def test_a_pause_does_not_make_the_poller_late(
    poller: MakePoller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backoff.full_jitter", lambda longest: 3_600.0)
    made = poller()
    made.queue.fail("receive")
    made.start()
    eventually(lambda: made.poller.errors_in_a_row)
    made.clock.advance(3_600)
    eventually(lambda: made.poller.silent() == 0)
    assert not made.poller.late()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_poller_whose_thread_has_died_is_late(poller: MakePoller) -> None:
    made = poller()

    def die() -> None:
        raise SystemExit

    made.queue.during("receive", die)
    made.start()
    eventually(made.poller.late)
    assert made.clock() == 1_000


def test_nothing_is_received_while_the_visibility_timeout_is_zero(
    poller: MakePoller, pauses: list[float]
) -> None:
    made = poller()
    made.leases.resize(0)
    made.queue.send()
    made.start()
    eventually(lambda: made.poller.errors_in_a_row >= 3)
    assert made.receives == []
    made.leases.resize(30)
    made.taken_one()
