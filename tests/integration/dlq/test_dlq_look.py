"""`dlq list`, `show` and `compensations`, on a real SQS server with real neighbours to ask."""

import csv
import io
import itertools
import json
import threading
from typing import Any

import pytest

from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.simulator.neighbours.reservations import Record
from tests.integration.dlq.bench import TRACE, Bench, event


def test_list_counts_each_message_once_and_leaves_the_queue_as_it_was(bench: Bench) -> None:
    bench.fill(23, dlq_reason="retries_exhausted", dlq_error="a\x09b")
    bench.send("{", dlq_reason="invalid_payload")
    code, out, err = bench.run("list")
    assert (code, err) == (0, "")
    assert "24 messages in" in out
    assert "retries_exhausted" in out
    assert "a\\tb" in out
    assert bench.counts() == (24, 0)


def test_list_as_json_is_for_machines(bench: Bench) -> None:
    bench.fill(3)
    code, out, _ = bench.run("list", "--json")
    shown = json.loads(out)
    assert (code, shown["messages"], shown["partial"]) == (0, 3, [])
    assert [group["reason"] for group in shown["groups"]] == ["sqs_redrive"]


def test_a_message_that_another_reader_holds_makes_the_view_partial(bench: Bench) -> None:
    bench.fill(3)
    bench.client.receive_message(QueueUrl=bench.dlq, VisibilityTimeout=60)
    code, out, err = bench.run("list")
    assert code == 0
    assert "2 messages in" in out
    assert "the view is partial: about 1 message hidden by another reader" in err


def test_a_queue_that_is_filled_while_it_is_read_comes_to_an_end(bench: Bench) -> None:
    bench.fill(3)
    with Desk(bench.queues()) as table:
        seen = 0
        for _ in table.letters():
            seen += 1
            bench.send(event(rid="more"))
            bench.send(event(rid="more"))
    assert 103 <= seen < 113
    assert "read again" in table.partial[0]
    assert bench.counts() == (3 + 2 * seen, 0)


def test_a_message_that_comes_a_second_time_is_counted_once(bench: Bench) -> None:
    bench.fill(30)
    with Desk(bench.queues()) as table:
        seen = []
        for letter in table.letters():
            seen.append(letter.id)
            if len(seen) == 15:
                table.holds.release(seen[:5])  # as if their holds had ended
    assert len(seen) == len(set(seen)) == 30
    assert bench.counts() == (30, 0)


def test_an_error_in_the_middle_makes_the_messages_visible_again(bench: Bench) -> None:
    bench.fill(12)

    def fail() -> None:
        with Desk(bench.queues()) as table:
            for _ in table.letters():
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert bench.counts() == (12, 0)


def test_show_has_body_attributes_error_and_the_state_now(bench: Bench) -> None:
    bench.world.neighbours.seed([Record("rsv_show", "show", ("A1",), status="EXPIRED")])
    body = event("payment.approved", "rsv_show", note="\x1b[2J")
    ours = {"dlq_reason": "compensation_required", "dlq_source_message_id": "src"}
    first = bench.send(body, TRACE, colour="red", raw=b"\xff", dlq_error="paid, too late", **ours)
    second = bench.send(body, **ours)
    for wanted in ("src", first):
        code, out, _ = bench.run("show", wanted)
        assert code == 0
        for part in (
            "now          EXPIRED",
            "as compensation_required: paid, but the reservation is EXPIRED",
            "paid, too late",
            f"copies       {second}",
            "colour (String)  red",
            "raw (Binary)  ff (hex)",
            TRACE,
            '"reservation_id": "rsv_show"',
        ):
            assert part in out
        assert "\x1b" not in out
    assert bench.counts() == (2, 0)


def test_show_as_json_has_the_whole_message_and_its_forecast(bench: Bench) -> None:
    bench.world.neighbours.seed([Record("rsv_json", "show", ("J1",), status="HOLD")])
    there = bench.send(event(rid="rsv_json"), dlq_reason="retries_exhausted")
    code, out, _ = bench.run("show", there, "--json")
    shown = json.loads(out)
    assert code == 0
    assert (shown["message_id"], shown["body"], shown["now"]) == (
        there,
        event(rid="rsv_json"),
        "HOLD",
    )
    assert shown["if_redriven"]["fate"] == "settles"


def test_show_says_so_when_there_is_no_such_message(bench: Bench) -> None:
    code, _, err = bench.run("show", "nope")
    assert code == 1
    assert "there is no message nope" in err


def test_show_works_without_reservation_api(bench: Bench) -> None:
    bench.monkeypatch.setenv("RESERVATION_API_BASE", "http://127.0.0.1:9")
    code, out, _ = bench.run("show", bench.send(event()))
    assert code == 0
    assert "now          not known" in out


def test_several_calls_read_and_give_back_at_once(bench: Bench) -> None:
    bench.fill(60)
    queues = bench.queues()
    for client, action in (
        (queues.once, "ReceiveMessage"),
        (queues.again, "ChangeMessageVisibilityBatch"),
    ):
        together = threading.Barrier(4, timeout=30)
        calls = itertools.count()

        def meet(request: Any, together: Any = together, calls: Any = calls, **given: Any) -> None:
            if next(calls) < 4:
                together.wait()

        client.meta.events.register(f"before-send.sqs.{action}", meet)
    with Desk(queues) as table:
        assert len(list(table.letters())) == 60
    assert bench.counts() == (60, 0)


def test_compensations_have_the_payments_that_only_ran_out_of_tries(bench: Bench) -> None:
    bench.world.neighbours.seed(
        [
            Record("rsv_paid", "show", ("P1",), status="CONFIRMED"),
            Record("rsv_hold", "show", ("P2",)),
        ]
    )
    for rid, reason in (
        ("rsv_hold", "retries_exhausted"),
        ("rsv_hold", None),  # moved by SQS itself
        ("rsv_paid", "compensation_required"),
    ):
        attributes = {"dlq_reason": reason} if reason else {}
        bench.send(event("payment.approved", rid, payment_intent_id=rid), **attributes)
    bench.send(event("payment.failed"), dlq_reason="retries_exhausted")
    code, out, _ = bench.run("compensations", "--json")
    assert code == 0
    assert [(one["case"], one["copies"], one["now"]) for one in json.loads(out)] == [
        ("compensation", 1, "CONFIRMED"),
        ("unsettled payment", 2, "HOLD"),
    ]
    assert 0 <= json.loads(out)[1]["age_seconds"] < 600
    bench.monkeypatch.setenv("RESERVATION_API_BASE", "http://127.0.0.1:9")
    code, out, _ = bench.run("compensations")
    assert code == 0
    assert out.count("not known") == 2


def test_compensations_are_a_table_that_no_spreadsheet_executes(bench: Bench) -> None:
    paid = {"payment_intent_id": "pay_1", "amount": 12_000, "currency": "KRW", "user_id": "=1+1"}
    for _ in range(2):
        bench.send(
            event("payment.approved", **paid),
            dlq_reason="compensation_required",
            dlq_error="+gone",
        )
    bench.fill(2)
    code, out, _ = bench.run("compensations")
    (row,) = csv.DictReader(io.StringIO(out))
    assert code == 0
    assert (row["payment_intent_id"], row["amount"], row["copies"]) == ("pay_1", "12000", "2")
    assert (row["user_id"], row["dlq_error"]) == ("'=1+1", "'+gone")
    _, out, _ = bench.run("compensations", "--json")
    assert [one["user_id"] for one in json.loads(out)] == ["=1+1"]
