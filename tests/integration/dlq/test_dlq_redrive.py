"""`dlq redrive`, on a real SQS server with real neighbours to ask."""

import json

import pytest

from reservation_worker.cli.dlq.letters import by_origin
from reservation_worker.cli.dlq.mover import Mover
from reservation_worker.simulator.neighbours.reservations import Record
from tests.integration.dlq.bench import TRACE, Bench, event, go_on, holding


def test_redrive_keeps_the_producers_attributes_and_drops_ours_and_the_copies(
    bench: Bench,
) -> None:
    ours = {"dlq_reason": "retries_exhausted", "dlq_error": "e", "dlq_source_message_id": "s"}
    for _ in range(3):
        bench.send(event(), TRACE, colour="red", raw=b"\x00\xff", **ours)
    code, out, _ = bench.run("redrive", "--yes")
    assert code == 0
    assert "1 of 1 message moved, copies dropped: 2" in out
    (moved,) = bench.take(bench.queue)
    assert moved["Body"] == event()
    values = moved["MessageAttributes"]
    assert set(values) == {"colour", "raw"}
    assert values["raw"]["BinaryValue"] == b"\x00\xff"
    assert bench.counts() == (0, 0)


def test_the_trace_header_is_kept(bench: Bench) -> None:
    bench.send(event(), TRACE)
    queues = bench.queues()
    sent: list[bytes] = []
    # Looked at on its way: neither emulator keeps system attributes that come in a batch.
    queues.once.meta.events.register(
        "before-send.sqs.SendMessageBatch", lambda request, **_: sent.append(request.body)
    )
    holds, letters = holding(queues)
    assert Mover(queues, holds, go_on).move(by_origin(letters)).moved == 1
    (entry,) = json.loads(sent[0])["Entries"]
    header = {"AWSTraceHeader": {"DataType": "String", "StringValue": TRACE}}
    assert entry["MessageSystemAttributes"] == header


def test_redrive_shows_the_effect_of_each_and_only_y_is_yes(bench: Bench) -> None:
    states = {"hold": "HOLD", "sold": "CONFIRMED", "late": "EXPIRED"}
    bench.world.neighbours.seed(
        Record(f"{name}_said", "show", (f"{name}-1",), status=status)
        for name, status in states.items()
    )
    for name in states:
        bench.send(event(rid=f"{name}_said"))
    bench.send("{", dlq_reason="invalid_payload")
    for answer in ("", "n", "Yep", "ja"):
        bench.type(answer)
        code, out, err = bench.run("redrive")
        assert code == 1
        assert "not confirmed: nothing was moved" in err
    text = " ".join(out.split())
    for part in (
        "1 settles expired, now HOLD: release",
        "1 superseded expired, now CONFIRMED: inventory is left alone",
        "1 replays expired, now EXPIRED: release again",
        "1 comes back at once, as invalid_payload",
    ):
        assert part in text
    code, again, _ = bench.run("redrive", "--dry-run")
    assert (code, again) == (0, out)
    assert bench.counts() == (4, 0)
    bench.type("y")
    assert bench.run("redrive", "--type", "reservation.expired")[0] == 0
    assert (bench.counts(), bench.counts(bench.queue)) == ((1, 0), (3, 0))


def test_releases_by_quantity_are_left_out_unless_they_are_asked_for(bench: Bench) -> None:
    rid = "rsv_quantity"
    bench.world.neighbours.seed([Record(rid, "show", quantity=2, status="EXPIRED")])
    bench.send(event(rid=rid, seat_ids=[], qty=2))
    code, out, _ = bench.run("redrive", "--yes")
    assert code == 0
    assert "1 message left out" in out
    assert bench.counts() == (1, 0)
    assert bench.run("redrive", "--yes", "--include-quantity-releases")[0] == 0
    assert bench.counts() == (0, 0)


def test_only_moves_the_messages_with_that_forecast(bench: Bench) -> None:
    states = {"hold": "HOLD", "sold": "CONFIRMED"}
    bench.world.neighbours.seed(
        Record(f"{name}_only", "show", (f"{name}-9",), status=status)
        for name, status in states.items()
    )
    for name in states:
        bench.send(event(rid=f"{name}_only"))
    bench.send("{", dlq_reason="invalid_payload")
    code, out, _ = bench.run("redrive", "--only", "settles", "--yes", "--json")
    shown = json.loads(out)
    assert code == 0
    assert (shown["to_move"], shown["moved"], shown["left_out_by_only"]) == (1, 1, 2)
    [moved] = bench.take(bench.queue)
    assert moved["Body"] == event(rid="hold_only")
    assert bench.run("redrive", "--only", "comes-back", "--only", "superseded", "--yes")[0] == 0
    assert (bench.counts(), bench.counts(bench.queue)) == ((0, 0), (2, 0))


def test_a_release_by_quantity_beyond_the_key_s_time_is_warned_of(bench: Bench) -> None:
    rid = "rsv_forgotten"
    bench.world.neighbours.seed([Record(rid, "show", quantity=2, status="EXPIRED")])
    bench.send(event(rid=rid, seat_ids=[], qty=2), dlq_time="2026-01-01T00:00:00+00:00")
    bench.send(event(rid=rid, seat_ids=[], qty=2))
    line = ("redrive", "--dry-run", "--include-quantity-releases")
    _, out, _ = bench.run(*line)
    text = " ".join(out.split())
    assert "WARNING: 1 release by quantity dead-lettered more than 300 s ago" in text
    # inventory-svc never forgets: the key guards a quantity, too.
    bench.monkeypatch.setenv("INVENTORY_KEY_TTL", "0")
    shown = json.loads(bench.run("redrive", "--dry-run", "--json")[1])
    assert (shown["to_move"], shown["left_out_quantity_releases"]) == (2, 0)
    assert shown["quantity_releases_beyond_key_ttl"] == 0


def test_redrive_without_reservation_api_says_that_it_does_not_know(bench: Bench) -> None:
    bench.monkeypatch.setenv("RESERVATION_API_BASE", "http://127.0.0.1:9")
    bench.fill(30)
    code, out, _ = bench.run("redrive", "--dry-run")
    assert code == 0
    assert "could not be asked for 30" in out


def test_redrive_of_nothing_says_so(bench: Bench) -> None:
    bench.fill(2)
    code, out, _ = bench.run("redrive", "--type", "payment.failed", "--yes")
    assert (code, out) == (0, "nothing to move: the options choose none of 2 messages\n")


@pytest.mark.parametrize(
    "verb", [["redrive", "--yes"], ["purge"], ["resolve", "r", "--note", "n", "--yes"]]
)
def test_an_id_that_matches_nothing_is_an_error_and_nothing_is_done(
    bench: Bench, verb: list[str]
) -> None:
    there = bench.send(event())
    code, _, err = bench.run(*verb, "--id", there, "--id", "nope")
    assert code == 1
    assert f"there is no message nope in {bench.dlq}" in err
    assert (bench.counts(), bench.counts(bench.queue)) == ((1, 0), (0, 0))


def test_the_queues_can_be_named_without_any_setting(bench: Bench) -> None:
    bench.fill(1)
    bench.monkeypatch.delenv("SQS_QUEUE_URL")
    assert bench.run("list")[0] == 2
    for options in (
        ["--queue-url", bench.queue],
        ["--queue-url", bench.queue, "--dlq-url", bench.dlq],
    ):
        code, out, _ = bench.run(*options, "list")
        assert code == 0
        assert "1 message in" in out


def test_a_queue_without_a_dlq_is_an_error_that_names_the_option(bench: Bench) -> None:
    code, _, err = bench.run("--queue-url", bench.dlq, "list")
    assert code == 1
    assert "--dlq-url" in err


def test_the_rate_is_kept_without_longer_waits(bench: Bench) -> None:
    bench.fill(9)
    holds, letters = holding(bench.queues())
    now = [0.0]
    waits: list[float] = []

    def pause(seconds: float) -> bool:
        waits.append(seconds)
        now[0] += seconds
        return False

    Mover(bench.queues(), holds, pause, rate=12, clock=lambda: now[0]).move(by_origin(letters))
    assert waits == pytest.approx([0, 0.25, 0.25])
    assert bench.counts(bench.queue) == (9, 0)


def test_a_stop_ends_after_the_batch_under_way(bench: Bench) -> None:
    bench.fill(25)
    holds, letters = holding(bench.queues())
    stops = iter([False, True])
    report = Mover(bench.queues(), holds, lambda seconds: next(stops)).move(by_origin(letters))
    holds.release()
    assert report.moved == 10
    assert (bench.counts(), bench.counts(bench.queue)) == ((15, 0), (10, 0))
