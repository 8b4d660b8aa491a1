"""What the verb `burst` sees of workers, and whom it refuses."""

import pytest

from reservation_worker.cli import worker_http
from reservation_worker.cli.burst import _refuse_real
from reservation_worker.cli.burst.watch import Watch
from reservation_worker.clients.http import Answer
from reservation_worker.errors import OperationError

A, B = "http://127.0.0.1:1/metrics", "http://127.0.0.1:2/metrics"


class Workers:
    """What the workers at A and B answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, Answer] = {}
        monkeypatch.setattr(worker_http, "get", lambda url: self.answers[url])

    def say(self, url: str, settled: int, start: float = 1000.0) -> None:
        text = (
            f'worker_events_total{{type="expired",outcome="success"}} {settled}\n'
            f"process_start_time_seconds {start}\n"
        )
        self.answers[url] = Answer(200, text.encode(), 0)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Workers:
    return Workers(monkeypatch)


def test_what_several_workers_have_gained_is_added_up(workers: Workers) -> None:
    workers.say(A, 100)
    workers.say(B, 7)
    watch = Watch([A, B, A])
    assert watch.gained().settled() == 0
    workers.say(A, 103, start=1001.0)
    workers.say(B, 9)
    assert watch.gained().settled() == 5


def test_a_worker_that_was_started_anew_is_noticed(workers: Workers) -> None:
    workers.say(A, 0)
    watch = Watch([A])
    workers.say(A, 5, start=1030.0)
    with pytest.raises(OperationError, match="started anew"):
        watch.gained()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, b"", 0),
        Answer(200, b"<html>", 0),
        Answer(200, b"\xff", 0),
        Answer(200, b"x 1", 0),
    ],
)
def test_what_is_no_worker_is_told_from_one(workers: Workers, answer: Answer) -> None:
    workers.answers[A] = answer
    with pytest.raises(OperationError, match=r"not with a worker's metrics.*--metrics-url"):
        Watch([A])


def test_only_this_machine_is_written_to_without_being_told_twice() -> None:
    _refuse_real("http://localhost:1/0/q", "http://127.0.0.2:1/0/q", "http://[::1]:1/0/q")
    _refuse_real("http://localhost.localstack.cloud:4566/000000000000/q")
    for url in ("http://localhost.evil.example/q", "http://10.0.0.1/q", "http://localstack:1/0/q"):
        with pytest.raises(OperationError, match="--yes"):
            _refuse_real("http://localhost/q", url)
