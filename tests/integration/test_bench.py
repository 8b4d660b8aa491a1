"""The benchmark harness on its real processes."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import bench
from benchmarks.account import cpu_seconds, memory_mb
from benchmarks.contestants import CONTESTANTS, OURS, TEXTBOOK
from benchmarks.quota import CpuQuota, QuotaError
from benchmarks.rows import NO_SPANS, Row, Setup
from benchmarks.stubs.processes import SqsStub
from reservation_worker.simulator.processes.child import Child
from reservation_worker.simulator.sqs.emulator import CREDENTIALS
from reservation_worker.sqs.batches import BatchFailure
from reservation_worker.sqs.queue import SqsQueue

pytestmark = pytest.mark.usefixtures("unmeasured")

BURN = "import time\nwhile time.process_time() < 0.4: pass\nprint(flush=True)\ntime.sleep(60)"


@pytest.fixture
def stub(tmp_path: Path) -> Iterator[SqsStub]:
    with SqsStub(tmp_path) as running:
        running.reset(latency_ms=0)
        yield running


@pytest.fixture
def queue(stub: SqsStub, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqsQueue]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    found = SqsQueue(
        stub.queue_url, "ap-northeast-2", 20, connections=2, endpoint_url=stub.control_base
    )
    yield found
    found.close()


def test_the_workers_own_client_finds_sqs_in_the_stub(stub: SqsStub, queue: SqsQueue) -> None:
    facts = queue.describe()
    assert facts.visibility == 60
    assert facts.dlq is not None
    assert facts.dlq.url.endswith("/reservation-events-dlq")
    stub.add(12)
    messages = queue.receive(10, 0)
    assert (len(messages), len({one.id for one in messages})) == (10, 10)
    assert messages[0].receive_count == 1
    assert messages[0].since_sent == pytest.approx(0, abs=30)
    receipts = [one.receipt for one in messages]
    assert queue.delete(receipts[:9]) == {}
    assert queue.change_visibility([receipts[9], "msg-99#1"], 0) == {
        1: BatchFailure("MessageNotInflight", True)
    }
    assert [one.receive_count for one in queue.receive(10, 0)] == [2, 1, 1]
    queue.dead_letter("body", {}, None)
    stats = stub.stats()
    assert (stats["deleted"], stats["redelivered"], stats["dead"]) == (9, 1, 1)
    assert stats["calls"] == {
        "GetQueueAttributes": 2,
        "GetQueueUrl": 1,
        "ReceiveMessage": 2,
        "DeleteMessageBatch": 1,
        "ChangeMessageVisibilityBatch": 1,
        "SendMessage": 1,
    }


def test_a_long_poll_ends_when_the_first_event_comes(stub: SqsStub, queue: SqsQueue) -> None:
    stub.arrive(rate=20, count=1)
    began = time.monotonic()
    assert len(queue.receive(10, 20)) == 1
    assert time.monotonic() - began < 15


def test_cpu_and_memory_are_those_of_the_whole_process_group(tmp_path: Path) -> None:
    forking = f"import os\nos.fork()\n{BURN}"
    with Child([sys.executable, "-c", forking], directory=tmp_path) as child:
        child.until(lambda: child.stdout.read_bytes() == b"\n\n", 60, "burnt")
        assert cpu_seconds(child.pid) == pytest.approx(0.8, abs=0.15)
        found = memory_mb(child.pid)
    assert 1 < found["anon_mb"] < found["rss_mb"] < 200


def test_a_quota_of_half_a_cpu_is_enforced(tmp_path: Path) -> None:
    try:
        quota = CpuQuota(0.5)
    except QuotaError as error:
        pytest.skip(str(error))
    try:
        began = time.monotonic()
        with Child(quota.command([sys.executable, "-c", BURN]), directory=tmp_path) as child:
            child.until(lambda: child.stdout.read_bytes() == b"\n", 60, "burnt")
            # 0.4 s of CPU at 50 ms in each period of 100 ms.
            assert time.monotonic() - began > 0.65
    finally:
        quota.close()


def test_a_few_hundred_events_go_through_the_real_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced = Row("traced", "settle", Setup(latency_ms=2), 512)
    untraced = Row("untraced", "settle", Setup(latency_ms=2, spans=NO_SPANS), 200, 200)
    monkeypatch.setattr(bench, "ROWS", (traced, untraced))
    assert bench.main(["--rounds", "1", "--out", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    for name, least, spans in (("traced", 512, 3.0), ("untraced", 200, 0.0)):
        found = rows[name]["median"]
        assert found["events_per_s"] * found["seconds"] == pytest.approx(least)
        assert found["errors"] == 0
        assert found["spans"] == pytest.approx(spans, abs=1.1)
        # A receive and a delete for ten at best; and no event takes less than its two calls.
        assert 0.19 <= found["calls"] < 1
        assert 0.1 < found["cpu_ms"] < 50
        assert found["p50_ms"] >= 4
        assert 0 < found["percent_of_ceiling"] <= 105
        assert found["anon_mb"] < found["rss_mb"] < 300
    assert "| traced |" in (tmp_path / "results.md").read_text()


def test_a_worker_that_dies_fails_its_row_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = replace(OURS, name="broken", command=(sys.executable, "-c", "exit('no luck')"))
    monkeypatch.setitem(CONTESTANTS, "broken", broken)
    monkeypatch.setattr(bench, "ROWS", (Row("bad", "settle", Setup(), 10, contestant="broken"),))
    assert bench.main(["--rounds", "1", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "not measured: bad: broken-0 ended with exit code 1 before it had warmed up" in said
    assert "no luck" in said


def test_the_textbook_loop_settles_and_deletes_every_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = replace(TEXTBOOK, name="here", command=(sys.executable, *TEXTBOOK.command[1:]))
    monkeypatch.setitem(CONTESTANTS, "here", here)
    setup = Setup(latency_ms=0, sqs_ms=0, spans=NO_SPANS)
    monkeypatch.setattr(bench, "ROWS", (Row("loop", "settle", setup, 100, contestant="here"),))
    assert bench.main(["--rounds", "1", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "results.json").read_text())["rows"]["loop"]["median"]
    assert (found["neighbours"], found["errors"], found["spans"]) == (2, 0, 0)
    assert found["calls"] > 1


def test_an_unknown_row_is_refused_with_the_list_of_rows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench.main(["--rows", "nonsense"]) == 2
    assert "  40 ms, all spans\n" in capsys.readouterr().err
