"""How `publish` sends: batches, rate, further tries and ctrl-C."""

import json
import os
import signal
import threading
from collections.abc import Sequence

import pytest

from reservation_worker.cli import main as cli
from reservation_worker.cli.interrupt import interrupt_noted
from reservation_worker.cli.publish.command import entries_of
from reservation_worker.cli.publish.publisher import Summary, publish
from reservation_worker.cli.publish.targets import BusTarget, Entry, QueueTarget
from reservation_worker.errors import OperationError
from reservation_worker.sqs.batches import BatchFailure, batches

QUEUE, BUS = QueueTarget("http://localhost/q"), BusTarget("tickets")
BUSY = BatchFailure("busy", sender_fault=False)
WRONG = BatchFailure("wrong", sender_fault=True)
EVENT = '{"type":"reservation.expired","source":"s","trace_id":"t","detail":{"reservation_id":"r"}}'


class FakeTarget(QueueTarget):
    """Gives the test's answers, one a call, then success; keeps the bodies that it was sent."""

    def __init__(self, *answers: dict[int, BatchFailure] | OperationError) -> None:
        super().__init__("fake")
        self.answers = list(answers)
        self.calls: list[list[str]] = []

    def send(self, entries: Sequence[Entry]) -> dict[int, BatchFailure]:
        self.calls.append([entry["MessageBody"] for entry in entries])
        answer = self.answers.pop(0) if self.answers else {}
        if isinstance(answer, OperationError):
            raise answer
        return answer


class Clock:
    """Time that passes only in pauses; an interruption comes with pause number `stop_at`."""

    def __init__(self, stop_at: int = 0) -> None:
        self.now = 0.0
        self.pauses = 0
        self.stop_at = stop_at

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> bool:
        self.now += seconds
        self.pauses += 1
        return bool(self.stop_at) and self.pauses >= self.stop_at


def send(
    target: FakeTarget, count: int, clock: Clock | None = None, rate: float | None = None
) -> Summary:
    clock = clock or Clock()
    entries = [target.entry(str(number)) for number in range(count)]
    return publish(target, entries, clock.pause, rate, pauses=(0, 0), clock=clock)


# sending


def test_no_batch_exceeds_the_target_s_limits() -> None:
    for target, body in ((QUEUE, "x" * 400_000), (BUS, EVENT.replace('"r"', f'"{"r" * 100_000}"'))):
        weight = target.size(target.entry(body))
        found = list(batches([(body, weight)] * 5, 10, target.most_bytes))
        assert [len(batch) for batch in found] == [2, 2, 1]


def test_an_entry_refused_for_a_passing_reason_is_sent_again_a_faulty_one_is_not() -> None:
    target = FakeTarget({1: BUSY, 2: WRONG})
    summary = send(target, 4)
    assert target.calls == [["0", "1", "2", "3"], ["1"]]
    assert (summary.sent, dict(summary.errors)) == (3, {"wrong": 1})


def test_an_entry_that_stays_refused_is_given_up_after_the_last_try() -> None:
    busy = {0: BUSY}
    target = FakeTarget(busy, busy, busy)
    summary = send(target, 2)
    assert target.calls == [["0", "1"], ["0"], ["0"]]
    assert (summary.sent, dict(summary.errors)) == (1, {"busy": 1})


def test_a_call_that_fails_ends_the_run_and_every_event_is_accounted_for() -> None:
    target = FakeTarget({}, {0: BUSY}, OperationError("no network"))
    summary = send(target, 40)
    assert (summary.sent, dict(summary.errors)) == (19, {"no network": 1})
    assert len(target.calls) == 3


def test_a_rate_is_kept_over_the_run_in_small_batches() -> None:
    clock = Clock()
    target = FakeTarget()
    summary = send(target, 40, clock, rate=20)
    assert [len(call) for call in target.calls] == [5] * 8
    assert clock.now == pytest.approx(35 / 20)
    assert (summary.sent, summary.interrupted) == (40, False)
    assert [len(call) for call in _calls_at(0.5)] == [1, 1, 1]


def _calls_at(rate: float) -> list[list[str]]:
    target = FakeTarget()
    send(target, 3, rate=rate)
    return target.calls


def test_an_interrupted_run_counts_exactly_the_events_that_were_sent() -> None:
    target = FakeTarget()
    summary = send(target, 100, Clock(stop_at=4))
    assert (summary.sent, summary.interrupted) == (30, True)
    assert sum(len(call) for call in target.calls) == 30


def test_ctrl_c_in_the_middle_of_a_call_lets_it_finish_and_counts_it() -> None:
    class Interrupted(FakeTarget):
        def send(self, entries: Sequence[Entry]) -> dict[int, BatchFailure]:
            os.kill(os.getpid(), signal.SIGINT)
            return super().send(entries)

    target = Interrupted()
    with interrupt_noted() as interrupt:
        summary = publish(target, [target.entry("x")] * 30, interrupt.pause)
    assert (summary.sent, summary.interrupted) == (10, True)


def test_several_calls_go_at_once_where_order_does_not_matter() -> None:
    together = threading.Barrier(4, timeout=10)

    class Meeting(FakeTarget):
        def send(self, entries: Sequence[Entry]) -> dict[int, BatchFailure]:
            together.wait()
            return {}

    target = Meeting()
    summary = publish(target, [target.entry("x")] * 80, Clock().pause, parallel=4)
    assert summary.sent == 80


# ctrl-C


def test_ctrl_c_before_a_pause_is_not_missed_and_the_old_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupt_noted() as interrupt:
        assert interrupt.pause(0) is False
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.pause(60) is True
    assert signal.getsignal(signal.SIGINT) is before


# the command line


def test_a_dry_run_needs_no_configuration_and_can_be_sent_later(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SQS_QUEUE_URL", raising=False)
    line = ["publish", "--dry-run", "--count", "12", "--variant", "all", "--type", "failed"]
    assert cli.main(line) == 0
    printed = capsys.readouterr().out
    assert len(entries_of(printed.encode(), QUEUE)) == 12


@pytest.mark.parametrize(
    "arguments",
    [
        ["--file", "x", "--count", "3"],
        ["--file", ""],
        ["--type", "expire"],
        ["--rate", "0"],
        ["--rate", "nan"],
        ["--prefix", "../x"],
        ["--bus", "a b"],
        ["--bus", "a", "--queue-url", "http://localhost/q"],
        ["--variant", "legacy_type", "--type", "approved", "--dry-run"],
    ],
)
def test_wrong_usage_exits_2_with_an_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["publish", *arguments])
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_a_file_that_is_missing_or_empty_is_an_error(
    tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, error in ((f"{tmp_path}/none", "No such file"), (os.devnull, "holds no event")):
        assert cli.main(["publish", "--dry-run", "--file", name]) == 1
        assert error in capsys.readouterr().err


def test_the_default_is_one_canonical_expiry(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["publish", "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["type"] == "reservation.expired"
