"""The verb `dlq` on a real SQS server, with real neighbours to ask."""

import csv
import io
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reservation_worker.cli.dlq import desk
from reservation_worker.cli.dlq.desk import Desk
from reservation_worker.cli.dlq.holds import Holds
from reservation_worker.cli.dlq.letters import Letter, by_origin
from reservation_worker.cli.dlq.mover import SAFE, Mover
from reservation_worker.cli.dlq.queues import Queues, connect
from reservation_worker.cli.main import main
from reservation_worker.config.settings import Settings
from reservation_worker.errors import OperationError
from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.processes.sqs_proxy import SqsProxyProcess
from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION
from reservation_worker.simulator.sqs.provision import create_queues
from reservation_worker.sqs.batches import BatchFailure
from tests.world import World

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
NUMBERS = itertools.count()


class Bench:
    """A queue and its DLQ, new for each test, and the verb run on them."""

    def __init__(
        self, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.world = world
        self.client = world.client
        self.capsys = capsys
        self.monkeypatch = monkeypatch
        self.queue, self.dlq = create_queues(world.client, name=f"q{next(NUMBERS)}")
        for name, value in {
            **CREDENTIALS,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL": world.sqs.url,
            "SQS_QUEUE_URL": self.queue,
            "RESERVATION_API_BASE": world.neighbours.reservation_base,
        }.items():
            monkeypatch.setenv(name, value)
        for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL_SQS", "SQS_DLQ_URL"):
            monkeypatch.delenv(name, raising=False)

    def run(self, *args: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        self.capsys.readouterr()
        code = main(["dlq", *args])
        out, err = self.capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    def type(self, *answers: str) -> None:
        """What a person will type."""
        text = "".join(f"{one}\n" for one in answers)
        self.monkeypatch.setattr("sys.stdin", io.StringIO(text))

    def send(self, body: str, trace: str | None = None, **attributes: str | bytes) -> str:
        """A dead letter."""
        system: Any = {"AWSTraceHeader": {"DataType": "String", "StringValue": TRACE}}
        return self.client.send_message(
            QueueUrl=self.dlq,
            MessageBody=body,
            MessageAttributes={
                name: {"DataType": "Binary", "BinaryValue": value}
                if isinstance(value, bytes)
                else {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
            MessageSystemAttributes=system if trace else {},
        )["MessageId"]

    def fill(self, count: int, **attributes: str) -> list[str]:
        """So many dead letters; their bodies."""
        bodies = [event(rid=f"rsv_{number}") for number in range(count)]
        for body in bodies:
            self.send(body, **attributes)
        return bodies

    def counts(self, url: str | None = None) -> tuple[int, int]:
        """Visible and hidden, of the DLQ unless `url` says otherwise."""
        return self.world.counts(url or self.dlq)

    def take(self, url: str) -> list[Any]:
        """All that is visible, deleted."""
        found: list[Any] = []
        while messages := self.client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
        ).get("Messages"):
            for message in messages:
                self.client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found += messages
        return found

    def queues(self, endpoint: str | None = None) -> Queues:
        """As the verb finds them; by another endpoint if given."""
        if endpoint:
            self.monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        settings = {"SQS_QUEUE_URL": self.queue, "AWS_REGION": REGION}
        return connect(Settings.from_mapping(settings), self.queue)


@pytest.fixture(scope="module")
def system() -> Iterator[World]:
    with World() as made:
        yield made


@pytest.fixture
def bench(
    system: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Bench:
    monkeypatch.chdir(tmp_path)  # no .env here
    # An empty answer of this server is the truth.
    monkeypatch.setattr(desk, "_WAIT", 0)
    return Bench(system, monkeypatch, capsys)


def event(type_: str = "reservation.expired", rid: str = "rsv_1", **detail: Any) -> str:
    told = {"reservation_id": rid, "event_id": "show", "seat_ids": [f"S-{rid}"], **detail}
    return json.dumps({"type": type_, "detail": told})


def holding(queues: Queues, **more: Any) -> tuple[Holds, list[Letter]]:
    """All messages, held."""
    holds = Holds(queues, **more)
    letters = []
    while raws := holds.receive(0):
        letters += [Letter.of(raw) for raw in raws]
    return holds, letters


def go_on(seconds: float) -> bool:
    return False


# Looking


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
    told = json.loads(out)
    assert (code, told["messages"], told["partial"]) == (0, 3, [])
    assert [group["reason"] for group in told["groups"]] == ["sqs_redrive"]


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


def test_show_says_so_when_there_is_no_such_message(bench: Bench) -> None:
    code, _, err = bench.run("show", "nope")
    assert code == 1
    assert "there is no message nope" in err


def test_show_works_without_reservation_api(bench: Bench) -> None:
    bench.monkeypatch.setenv("RESERVATION_API_BASE", "http://127.0.0.1:9")
    code, out, _ = bench.run("show", bench.send(event()))
    assert code == 0
    assert "now          not known" in out


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


# Putting back


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


def test_redrive_says_what_each_would_do_and_only_y_is_yes(bench: Bench) -> None:
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
    said = " ".join(out.split())
    for part in (
        "1 settles expired, now HOLD: release",
        "1 superseded expired, now CONFIRMED: inventory is left alone",
        "1 replays expired, now EXPIRED: release again",
        "1 comes back at once, as invalid_payload",
    ):
        assert part in said
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


def test_a_queue_without_a_dlq_is_told_plainly(bench: Bench) -> None:
    code, _, err = bench.run("--queue-url", bench.dlq, "list")
    assert code == 1
    assert "--dlq-url" in err


def test_the_rate_is_kept_and_nothing_waits_longer_than_it_must(bench: Bench) -> None:
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


# Holds


def test_a_hold_that_may_have_ended_is_left_and_neither_moved_nor_taken_from_another(
    bench: Bench,
) -> None:
    bench.fill(2)
    now = [1000.0]
    holds, letters = holding(bench.queues(), clock=lambda: now[0])
    now[0] += 301
    report = Mover(bench.queues(), holds, go_on).move(by_origin(letters))
    assert set(report.left) == {letter.id for letter in letters}
    holds.release()
    assert (bench.counts(), bench.counts(bench.queue)) == ((0, 2), (0, 0))


def test_a_hold_is_renewed_before_half_of_its_time_is_left_and_before_a_move(
    bench: Bench,
) -> None:
    bench.fill(1)
    now = [1000.0]
    holds, (letter,) = holding(bench.queues(), clock=lambda: now[0])
    for _ in range(10):
        now[0] += 151  # of 300
        holds.renew()
    now[0] += 149
    holds.renew()
    assert not holds.safe([letter.id], 301)
    now[0] += 300 - SAFE + 1
    assert holds.safe([letter.id], SAFE) == {letter.id}


def test_messages_stay_hidden_for_as_long_as_somebody_looks(bench: Bench) -> None:
    bench.fill(12)
    holds = Holds(bench.queues(), hold=2)
    holds.start()
    with closing(holds):
        while holds.receive(0):
            pass
        # The receive is the wait: longer than a hold that nobody renews.
        assert "Messages" not in bench.client.receive_message(QueueUrl=bench.dlq, WaitTimeSeconds=3)
    assert bench.counts() == (12, 0)


# When SQS does not do as it is told


@pytest.fixture
def proxy(system: World) -> Iterator[Callable[..., SqsProxyProcess]]:
    with SqsProxyProcess(system.sqs.url) as process:

        def faulty(**faults: Any) -> SqsProxyProcess:
            process.set_faults(faults)
            return process

        yield faulty


def move_all(bench: Bench, queues: Queues) -> Any:
    holds, letters = holding(queues)
    report = Mover(queues, holds, go_on).move(by_origin(letters))
    holds.release()
    return report


def test_a_delete_that_fails_now_and_then_is_tried_again(
    bench: Bench, proxy: Callable[..., SqsProxyProcess]
) -> None:
    bodies = bench.fill(20)
    report = move_all(bench, bench.queues(proxy(delete_failed_server=0.3).url))
    assert (report.moved, report.undeleted, report.error) == (20, {}, None)
    assert bench.counts() == (0, 0)
    assert sorted(one["Body"] for one in bench.take(bench.queue)) == sorted(bodies)


def test_a_delete_that_keeps_failing_is_named_and_no_more_is_sent(
    bench: Bench, proxy: Callable[..., SqsProxyProcess]
) -> None:
    bench.fill(25)
    bench.monkeypatch.setenv("AWS_ENDPOINT_URL", proxy(delete_failed_server=1).url)
    code, out, err = bench.run("redrive", "--yes")
    assert code == 1
    assert "10 of 25 messages moved" in out
    assert err.count("moved, but still in the DLQ, too") == 10
    assert "no more was sent" in err
    assert (bench.counts(), bench.counts(bench.queue)) == ((25, 0), (10, 0))


def test_a_send_without_an_answer_is_not_tried_again_and_deletes_nothing(
    bench: Bench, proxy: Callable[..., SqsProxyProcess]
) -> None:
    bench.fill(25)
    lost = {"rate": 1, "actions": ["SendMessageBatch"]}
    report = move_all(bench, bench.queues(proxy(reset_after=lost).url))
    assert (report.moved, "may be in the queue, too" in report.error) == (0, True)
    # Carried out once: botocore did not try again by itself.
    assert (bench.counts(), bench.counts(bench.queue)) == ((25, 0), (10, 0))


def test_a_send_that_is_refused_before_a_retry_leaves_no_doubt(
    bench: Bench, proxy: Callable[..., SqsProxyProcess]
) -> None:
    bench.fill(3)
    denied = {"rate": 1, "actions": ["SendMessageBatch"]}
    bench.monkeypatch.setenv("AWS_ENDPOINT_URL", proxy(expired_credentials=denied).url)
    code, out, err = bench.run("redrive", "--yes")
    assert code == 1
    assert "0 of 3 messages moved" in out
    assert "ExpiredToken" in err
    assert "may be in the queue" not in err
    assert (bench.counts(), bench.counts(bench.queue)) == ((3, 0), (0, 0))


def test_a_dead_letter_queue_that_is_the_queue_itself_is_refused(bench: Bench) -> None:
    bench.client.send_message(QueueUrl=bench.queue, MessageBody=event())
    account, name = bench.queue.split("/")[-2:]
    for url in (bench.queue, f"http://another.host:1/{account}/{name}"):
        code, _, err = bench.run("--dlq-url", url, "redrive", "--yes")
        assert code == 2
        assert "SQS_DLQ_URL is the same queue as SQS_QUEUE_URL" in err
    # Both regions cannot be right; the endpoint's is, so that these are one queue.
    elsewhere = f"https://sqs.us-east-1.amazonaws.com/{account}/{name}"
    bench.monkeypatch.setenv("SQS_QUEUE_URL", elsewhere)
    at_home = f"https://sqs.{REGION}.amazonaws.com/{account}/{name}"
    code, _, err = bench.run("--dlq-url", at_home, "redrive", "--yes")
    assert code == 1
    assert "is the queue itself" in err
    assert bench.counts(bench.queue) == (1, 0)


def test_a_redrive_policy_that_points_to_the_queue_itself_is_refused(bench: Bench) -> None:
    arn = bench.client.get_queue_attributes(QueueUrl=bench.queue, AttributeNames=["QueueArn"])
    policy = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": "3"}
    bench.client.set_queue_attributes(
        QueueUrl=bench.queue, Attributes={"RedrivePolicy": json.dumps(policy)}
    )
    code, _, err = bench.run("redrive", "--yes")
    assert (code, "is the queue itself" in err) == (1, True)


def test_what_was_sent_before_the_queue_went_away_is_deleted(bench: Bench) -> None:
    bench.fill(3)
    queues = bench.queues()
    holds, letters = holding(queues)
    answers: Iterator[dict[int, BatchFailure] | OperationError] = iter(
        [{1: BatchFailure("InternalError", sender_fault=False)}, OperationError("gone")]
    )

    class Flaky(Queues):
        def send(self, url: str, messages: Any) -> dict[int, BatchFailure]:
            answer = next(answers)
            if isinstance(answer, OperationError):
                raise answer
            super().send(url, [one for at, one in enumerate(messages) if at not in answer])
            return answer

    flaky = Flaky(queues.again, queues.once, queues.source, queues.dlq)
    report = Mover(flaky, holds, go_on).move(by_origin(letters))
    holds.release()
    assert (report.moved, "1 message of the DLQ may be" in (report.error or "")) == (2, True)
    assert (bench.counts(), bench.counts(bench.queue)) == ((1, 0), (2, 0))


def test_what_the_answer_to_a_send_does_not_name_is_not_deleted(bench: Bench) -> None:
    bench.fill(3)
    queues = bench.queues()
    holds, letters = holding(queues)
    answers = ({}, {"Successful": [{"Id": "0"}]})

    class Mute:
        def __init__(self, answer: Any) -> None:
            self.send_message_batch = lambda **given: answer

    for answer, moved in zip(answers, (0, 1), strict=True):
        mute: Any = Mute(answer)
        report = Mover(Queues(queues.again, mute, queues.source, queues.dlq), holds, go_on).move(
            by_origin(letters)
        )
        assert report.moved == moved
        assert set(report.left.values()) == {"Unanswered: the answer does not name it"}
    holds.release()
    assert bench.counts() == (2, 0)


def test_a_message_that_the_queue_refuses_stays_and_is_named(bench: Bench) -> None:
    bench.client.set_queue_attributes(
        QueueUrl=bench.queue, Attributes={"MaximumMessageSize": "1024"}
    )
    bench.fill(3)
    large = bench.send(event(note="x" * 2000))
    code, out, err = bench.run("redrive", "--yes")
    assert code == 1
    assert "3 of 4 messages moved" in out
    assert f"{large}: not moved: " in err
    assert (bench.counts(), bench.counts(bench.queue)) == ((1, 0), (3, 0))


# Saving, taking back and deleting


def test_export_and_import_bring_back_what_there_was(bench: Bench) -> None:
    bench.send("한국어 🌮", TRACE, raw=b"\x00\xff", dlq_reason="permanent_error")
    bodies = Counter([*bench.fill(23), "한국어 🌮"])
    assert bench.run("export", "out.jsonl")[0] == 0
    assert bench.counts() == (24, 0)
    assert Path("out.jsonl").stat().st_mode & 0o777 == 0o600
    assert bench.run("export", "out.jsonl")[0] == 1
    assert bench.run("export")[1].count("\n") == 24
    bench.take(bench.dlq)

    assert bench.run("import", "out.jsonl")[0] == 0
    found = bench.take(bench.dlq)
    assert Counter(one["Body"] for one in found) == bodies
    (special,) = (one for one in found if "dlq_reason" in one.get("MessageAttributes", {}))
    assert special["MessageAttributes"]["raw"]["BinaryValue"] == b"\x00\xff"

    assert bench.run("import", "out.jsonl", "--to-queue")[0] == 0
    found = bench.take(bench.queue)
    assert Counter(one["Body"] for one in found) == bodies
    assert not any("dlq_reason" in one.get("MessageAttributes", {}) for one in found)


def test_an_import_with_a_wrong_line_sends_nothing(bench: Bench) -> None:
    Path("in.jsonl").write_text('{"body": "x"}\n' * 30 + "{\n")
    code, _, err = bench.run("import", "in.jsonl")
    assert code == 1
    assert "line 31: it is not JSON" in err
    assert bench.counts() == (0, 0)


def test_an_import_says_which_lines_were_refused(bench: Bench) -> None:
    bench.client.set_queue_attributes(QueueUrl=bench.dlq, Attributes={"MaximumMessageSize": "1024"})
    rows = [{"body": "x"}, {"body": "x" * 2000}, {"body": "y"}]
    Path("in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    code, _, err = bench.run("import", "in.jsonl")
    assert code == 1
    assert "2 of 3 messages sent" in err
    assert "line 2 was refused" in err
    assert bench.counts() == (2, 0)


def test_purge_deletes_what_was_counted_and_only_for_its_number(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fill(12)
    for answer in ("", "y", "11", "012"):
        bench.type(answer)
        assert bench.run("purge")[0] == 1
    assert bench.counts() == (12, 0)

    def typed_while_more_comes() -> str:
        bench.send(event(rid="late"))
        return "12"

    monkeypatch.setattr("builtins.input", typed_while_more_comes)
    code, out, _ = bench.run("purge")
    assert code == 0
    assert "12 of 12 messages deleted" in out
    (left,) = bench.take(bench.dlq)
    assert left["Body"] == event(rid="late")


def test_purge_of_an_empty_queue_asks_nothing(bench: Bench) -> None:
    code, out, _ = bench.run("purge")
    assert (code, "is empty" in out) == (0, True)
