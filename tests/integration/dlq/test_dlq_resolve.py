"""`dlq resolve`, on a real SQS server: recorded first, then deleted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.dlq.bench import TRACE, Bench, event
from tests.sqs_proxy.process import SqsProxyProcess

DUE = {"dlq_reason": "compensation_required", "dlq_source_message_id": "src"}
CLOSE = ("resolve", "closed.jsonl", "--note", "refund re_1")


def recorded() -> list[Any]:
    return [json.loads(line) for line in Path("closed.jsonl").read_text().splitlines()]


def test_a_refunded_letter_is_closed_with_its_copies_and_kept_for_the_audit(bench: Bench) -> None:
    body = event("payment.approved", payment_intent_id="pay_1")
    ids = {bench.send(body, TRACE, raw=b"\xff", **DUE) for _ in range(2)}
    other = bench.send(event(), dlq_reason="retries_exhausted")
    code, out, _ = bench.run(*CLOSE, "--id", min(ids), "--yes")
    assert code == 0
    assert "2 of 2 messages resolved" in out
    assert {one["message_id"] for one in recorded()} == ids
    assert {one["resolved_note"] for one in recorded()} == {"refund re_1"}
    assert Path("closed.jsonl").stat().st_mode & 0o777 == 0o600
    assert bench.counts() == (1, 0)
    assert bench.run(*CLOSE, "--reason", "retries_exhausted", "--yes")[0] == 0
    assert [one["message_id"] for one in recorded()[2:]] == [other]
    # A record can be taken back.
    assert bench.run("import", "closed.jsonl")[0] == 0
    found = bench.take(bench.dlq)
    assert [one["MessageAttributes"]["raw"]["BinaryValue"] for one in found[:2]] == [b"\xff"] * 2


def test_a_letter_is_recorded_before_it_is_deleted(
    bench: Bench, proxy: Callable[..., SqsProxyProcess]
) -> None:
    bench.fill(3, **DUE)
    bench.monkeypatch.setenv("AWS_ENDPOINT_URL", proxy(delete_failed_server=1).url)
    code, _, err = bench.run(*CLOSE, "--type", "reservation.expired", "--yes")
    assert code == 1
    assert "not deleted, run it again: 3" in err
    assert len(recorded()) == 3
    assert bench.counts() == (3, 0)


def test_without_a_record_nothing_is_deleted(bench: Bench) -> None:
    bench.fill(2, **DUE)
    for file in ("none/closed.jsonl", "/dev/full"):
        code, _, err = bench.run(
            "resolve", file, "--note", "n", "--reason", DUE["dlq_reason"], "--yes"
        )
        assert code == 1
        assert f"{file} can't be written" in err
    assert bench.counts() == (2, 0)


def test_a_closed_stdout_is_no_place_for_a_record(bench: Bench) -> None:
    bench.fill(2, **DUE)
    bench.monkeypatch.setattr("sys.stdout", None)
    code, _, err = bench.run(
        "resolve", "-", "--note", "n", "--type", "reservation.expired", "--yes"
    )
    assert (code, err) == (1, "reservation-worker: the output can't be written: stdout is closed\n")
    assert bench.counts() == (2, 0)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ([], "give --id"),
        (["--reason", "compensation_required"], "not confirmed"),
        (["--id", "none"], "there is no message none"),
    ],
)
def test_nothing_is_closed_without_a_choice_and_a_yes(
    bench: Bench, options: list[str], error: str
) -> None:
    bench.fill(2, **DUE)
    bench.type("n")
    code, _, err = bench.run(*CLOSE, *options)
    assert code == 1
    assert error in err
    assert bench.counts() == (2, 0)
    assert not Path("closed.jsonl").exists()


def test_the_record_can_go_to_stdout_alone(bench: Bench) -> None:
    bench.fill(2, **DUE)
    line = ("resolve", "-", "--note", "n", "--reason", "compensation_required", "--yes", "--json")
    code, out, err = bench.run(*line)
    assert code == 0
    assert [json.loads(one)["resolved_note"] for one in out.splitlines()] == ["n", "n"]
    assert "2 of 2 messages resolved" in err
