"""How `burst` reads workers' metrics, and which targets it refuses."""

from collections.abc import Iterator

import pytest
from responses import RequestsMock

from reservation_worker.cli.burst.command import Watch
from reservation_worker.cli.operator_aws import refuse_real
from reservation_worker.errors import OperationError

A, B = "http://127.0.0.1:1/metrics", "http://127.0.0.1:2/metrics"


class Workers:
    """The answers of the workers at A and B."""

    def __init__(self, http: RequestsMock) -> None:
        self._http = http

    def answer(self, url: str, status: int, body: bytes) -> None:
        self._http.upsert("GET", url, status=status, body=body)

    def say(self, url: str, settled: int, start: float = 1000.0) -> None:
        text = (
            f'worker_events_total{{type="expired",outcome="success"}} {settled}\n'
            f"process_start_time_seconds {start}\n"
        )
        self.answer(url, 200, text.encode())


@pytest.fixture
def workers() -> Iterator[Workers]:
    with RequestsMock() as http:
        yield Workers(http)


def test_the_gains_of_several_workers_are_added_up(workers: Workers) -> None:
    workers.say(A, 100)
    workers.say(B, 7)
    watch = Watch([A, B, A])
    assert watch.gained().settled() == 0
    workers.say(A, 103, start=1001.0)
    workers.say(B, 9)
    assert watch.gained().settled() == 5


def test_a_worker_that_restarted_is_an_error(workers: Workers) -> None:
    workers.say(A, 0)
    watch = Watch([A])
    workers.say(A, 5, start=1030.0)
    with pytest.raises(OperationError, match="started anew"):
        watch.gained()


@pytest.mark.parametrize(
    ("status", "body"), [(404, b""), (200, b"<html>"), (200, b"\xff"), (200, b"x 1")]
)
def test_an_answer_that_is_no_worker_s_metrics_is_an_error(
    workers: Workers, status: int, body: bytes
) -> None:
    workers.answer(A, status, body)
    with pytest.raises(OperationError, match=r"not with a worker's metrics.*--metrics-url"):
        Watch([A])


def test_only_targets_on_this_machine_need_no_yes() -> None:
    refuse_real("a burst", "http://localhost:1/0/q", "http://127.0.0.2:1/0/q", "http://[::1]:1/0/q")
    refuse_real("a burst", "http://localhost.localstack.cloud:4566/000000000000/q")
    for url in ("http://localhost.evil.example/q", "http://10.0.0.1/q", "http://localstack:1/0/q"):
        with pytest.raises(OperationError, match="--yes"):
            refuse_real("a burst", "http://localhost/q", url)
