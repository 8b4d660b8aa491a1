"""`dlq redrive` when SQS fails, on a real SQS server with real neighbours to ask."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from reservation_worker.cli.dlq.letters import by_origin
from reservation_worker.cli.dlq.mover import Mover
from reservation_worker.cli.dlq.queues import Queues
from reservation_worker.errors import OperationError
from reservation_worker.simulator.sqs.emulator import REGION
from reservation_worker.sqs.batches import BatchFailure
from tests.integration.dlq.bench import Bench, event, go_on, holding
from tests.sqs_proxy.process import SqsProxyProcess


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
    assert (report.moved, report.moved_but_not_deleted, report.error) == (20, {}, None)
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


def test_messages_sent_before_the_queue_went_away_are_deleted(bench: Bench) -> None:
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


def test_a_message_that_the_answer_to_a_send_does_not_name_is_not_deleted(bench: Bench) -> None:
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
