"""A DLQ that several queues share, one with a RedrivePolicy, and one without a known queue."""

import json
from pathlib import Path

import pytest

from reservation_worker.simulator.sqs.provision import arn, create_queues
from tests.integration.dlq.bench import Bench, event


def attach(bench: Bench, queue: str, dlq: str, receives: int) -> None:
    """Give `queue` a RedrivePolicy."""
    policy = {"deadLetterTargetArn": arn(bench.client, dlq), "maxReceiveCount": receives}
    bench.client.set_queue_attributes(
        QueueUrl=queue, Attributes={"RedrivePolicy": json.dumps(policy)}
    )


def redrive_by_sqs(bench: Bench, queue: str, *bodies: str) -> None:
    """Let SQS itself move messages from `queue` to the DLQ."""
    attach(bench, queue, bench.dlq, 1)
    for body in bodies:
        bench.client.send_message(QueueUrl=queue, MessageBody=body)
    before = sum(bench.counts())
    while sum(bench.counts()) < before + len(bodies):
        bench.client.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0, WaitTimeSeconds=1
        )


@pytest.fixture
def shared(bench: Bench) -> Bench:
    """Two letters of our worker, one that SQS moved from our queue, two from another queue."""
    other, _ = create_queues(bench.client, name=f"other-{bench.queue.rpartition('/')[2]}")
    redrive_by_sqs(bench, bench.queue, event(rid="own"))
    redrive_by_sqs(bench, other, event(rid="o1"), event(rid="o2"))
    bench.fill(2, dlq_reason="retries_exhausted")
    return bench


def bodies(bench: Bench, url: str) -> set[str]:
    return {json.loads(one["Body"])["detail"]["reservation_id"] for one in bench.take(url)}


def test_only_our_queue_s_messages_are_moved_and_the_others_are_shown(shared: Bench) -> None:
    name = f"other-{shared.queue.rpartition('/')[2]}"
    code, out, _ = shared.run("list")
    assert code == 0
    assert f"2  {name}" in out
    assert "5 messages in" in out
    groups = json.loads(shared.run("list", "--json")[1])
    assert groups["other_queues"] == {name: 2}
    assert sum(group["count"] for group in groups["groups"]) == 3
    assert shared.run("redrive", "--yes")[0] == 0
    assert bodies(shared, shared.queue) == {"own", "rsv_0", "rsv_1"}
    assert bodies(shared, shared.dlq) == {"o1", "o2"}


def test_purge_leaves_the_other_queues_messages_unless_the_dlq_alone_is_named(
    shared: Bench,
) -> None:
    shared.type("3")
    assert shared.run("purge")[0] == 0
    assert shared.counts() == (2, 0)
    shared.monkeypatch.delenv("SQS_QUEUE_URL")
    shared.type("2")
    assert shared.run("purge", "--dlq-url", shared.dlq)[0] == 0
    assert shared.counts() == (0, 0)


def test_in_a_shared_dlq_a_message_of_unknown_origin_stays(shared: Bench) -> None:
    shared.send(event(rid="unknown"))
    code, out, _ = shared.run("redrive", "--yes")
    assert code == 0
    assert "1 message left: neither SQS nor a worker has written which queue" in " ".join(
        out.split()
    )
    assert bodies(shared, shared.dlq) == {"o1", "o2", "unknown"}


@pytest.mark.parametrize(
    "verb", ["redrive", "purge", "resolve closed.jsonl --note n --type invalid"]
)
def test_a_dlq_that_our_queue_does_not_name_is_pointed_out_before_the_question(
    bench: Bench, verb: str
) -> None:
    _, other = create_queues(bench.client, name=f"seats-{bench.queue.rpartition('/')[2]}")
    bench.client.send_message(QueueUrl=other, MessageBody='{"type": "seat.sold"}')
    bench.type("no")
    code, _, err = bench.run(*verb.split(), "--dlq-url", other)
    assert code == 1
    ours, theirs = (url.rpartition("/")[2] for url in (bench.dlq, other))
    warning = f"the RedrivePolicy of {bench.queue} names {ours}, not {theirs}"
    assert 0 < err.index(warning) < err.index("not confirmed")
    assert err.count(warning) == 1
    assert bench.counts(other) == (1, 0)


def test_show_names_the_queue_that_sqs_moved_a_message_from(bench: Bench) -> None:
    redrive_by_sqs(bench, bench.queue, event())
    [group] = json.loads(bench.run("list", "--json")[1])["groups"]
    _, out, _ = bench.run("show", group["samples"][0]["id"])
    assert f"moved from   {bench.queue.rpartition('/')[2]}\n" in out


# A DLQ with a RedrivePolicy


@pytest.fixture
def chained(bench: Bench) -> Bench:
    """A DLQ from which a second reading moves the messages on."""
    _, end = create_queues(bench.client, name=f"end-{bench.queue.rpartition('/')[2]}")
    attach(bench, bench.dlq, end, 1)
    bench.fill(2, dlq_reason="retries_exhausted")
    return bench


@pytest.mark.parametrize(
    "verb",
    ["list", "show x", "export", "compensations", "purge", "redrive", "resolve f --note n --id x"],
)
def test_a_dlq_with_a_redrive_policy_is_not_read(chained: Bench, verb: str) -> None:
    for _ in range(3):
        code, _, err = chained.run(*verb.split())
        assert code == 1
        assert "after 1 receive, and each reading is one. Nothing was read" in err
    chained.client.set_queue_attributes(QueueUrl=chained.dlq, Attributes={"RedrivePolicy": ""})
    received = [one["Attributes"]["ApproximateReceiveCount"] for one in chained.take(chained.dlq)]
    assert received == ["1", "1"]


def test_a_reading_that_is_forced_warns_of_the_messages_that_the_next_one_moves_on(
    chained: Bench,
) -> None:
    code, out, err = chained.run("list", "--use-up-receives")
    assert code == 0
    assert "2 messages in" in out
    assert "WARNING: 2 messages received 1 time: the next reading moves them on to end-" in err
    assert chained.counts() == (2, 0)


def test_an_import_into_it_reads_nothing(chained: Bench) -> None:
    Path("in.jsonl").write_text(json.dumps({"body": event()}))
    code, _, err = chained.run("import", "in.jsonl")
    assert code == 0
    assert (
        0 < err.index("not checked whether messages are still in the DLQ") < err.index(" sent to")
    )
    assert chained.counts() == (3, 0)


# The DLQ alone


def test_the_dlq_s_url_alone_is_enough_for_all_that_does_not_send_to_the_queue(
    bench: Bench,
) -> None:
    due = {"dlq_reason": "compensation_required"}
    there = bench.send(event("payment.approved"), **due)
    bench.monkeypatch.delenv("SQS_QUEUE_URL")
    where = ("--dlq-url", bench.dlq)
    for verb in ("list", f"show {there}", "export", "compensations"):
        code, out, err = bench.run(*verb.split(), *where)
        assert code == 0, err
        assert out
    code, _, _ = bench.run("resolve", "f", "--note", "n", "--id", there, "--yes", *where)
    assert (code, bench.counts()) == (0, (0, 0))
    assert bench.run("import", "f", *where)[0] == 0
    bench.type("1")
    assert bench.run("purge", *where)[0] == 0
    for verb in ("redrive --yes", "import f --to-queue"):
        code, _, err = bench.run(*verb.split(), *where)
        assert code == 2
        assert "SQS_QUEUE_URL is not set" in err
    assert bench.counts() == (0, 0)
