"""`dlq redrive` as a process that is interrupted by real signals."""

import json
import signal
import sys
from collections import Counter
from typing import Any

from reservation_worker.simulator.processes.child import Child
from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION
from tests.world import World, until

FEW = 100
MANY = 300


def redrive(world: World, *options: str) -> Child:
    return Child(
        [sys.executable, "-m", "reservation_worker", "dlq", "redrive", *options],
        CREDENTIALS
        | {
            "AWS_ENDPOINT_URL": world.sqs.url,
            "AWS_REGION": REGION,
            "SQS_QUEUE_URL": world.queue_url,
            "RESERVATION_API_BASE": world.neighbours.reservation_base,
        },
    )


def fill(world: World, count: int) -> list[str]:
    """So many dead letters of our own; their bodies."""
    bodies = [
        json.dumps(
            {
                "type": "reservation.expired",
                "detail": {"reservation_id": rid, "event_id": "show", "seat_ids": [f"S-{rid}"]},
            }
        )
        for rid in world.seed(count)
    ]
    for start in range(0, count, 10):
        entries: Any = [
            {
                "Id": str(number),
                "MessageBody": bodies[number],
                "MessageAttributes": {
                    name: {"DataType": "String", "StringValue": value}
                    for name, value in (
                        ("dlq_reason", "retries_exhausted"),
                        ("dlq_source_message_id", f"source-{number}"),
                        ("colour", "red"),
                    )
                },
            }
            for number in range(start, start + 10)
        ]
        world.client.send_message_batch(QueueUrl=world.dlq_url, Entries=entries)
    return bodies


def take(world: World) -> list[Any]:
    """All that is in the source queue, hidden for a while."""
    found: list[Any] = []
    while messages := world.client.receive_message(
        QueueUrl=world.queue_url,
        MaxNumberOfMessages=10,
        VisibilityTimeout=120,
        MessageAttributeNames=["All"],
    ).get("Messages"):
        found += messages
    return found


def test_a_redrive_interrupted_twice_moves_every_message_exactly_once_in_the_end(world: World):
    bodies = fill(world, MANY)
    moved = 0
    for signals in ([signal.SIGINT], [signal.SIGINT, signal.SIGINT, signal.SIGTERM]):
        with redrive(world, "--yes", "--rate", "100") as process:
            before = moved
            process.until(lambda before=before: world.counts()[0] >= before + 50, 60, "moved some")
            for number in signals:
                process.signal(number)
            assert process.wait(60) == 130
            assert "interrupted: " in process.stdout.read_text()
        moved = world.counts()[0]
        # A message that was not moved is visible at once, and each is in exactly one queue.
        assert world.counts(world.dlq_url) == (MANY - moved, 0)
        assert before + 50 <= moved < MANY

    with redrive(world, "--yes") as process:
        assert process.wait(60) == 0, process.tail()
    assert world.counts(world.dlq_url) == (0, 0)
    found = take(world)
    assert Counter(one["Body"] for one in found) == Counter(bodies)
    assert {tuple(one["MessageAttributes"]) for one in found} == {("colour",)}


def test_ctrl_c_at_the_question_moves_nothing_and_hides_nothing(world: World):
    fill(world, FEW)
    with redrive(world) as process:
        process.until(lambda: "[y/N]" in process.stderr.read_text(), 60, "asked")
        assert world.counts(world.dlq_url) == (0, FEW)
        process.signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert "Traceback" not in process.stderr.read_text()
    assert world.counts(world.dlq_url) == (FEW, 0)
    assert world.counts() == (0, 0)


def test_ctrl_c_while_it_reads_hides_nothing(world: World):
    fill(world, FEW)
    with redrive(world, "--yes") as process:
        process.until(lambda: world.counts(world.dlq_url)[1] >= 10, 60, "began to read")
        process.signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert "interrupted: all visible again (" in process.stderr.read_text()
    moved = world.counts()[0]
    assert world.counts(world.dlq_url) == (FEW - moved, 0)


def test_killed_between_send_and_delete_the_worker_settles_each_once(world: World):
    bodies = fill(world, FEW)
    with redrive(world, "--yes") as process:
        process.until(lambda: world.counts()[0] >= 50, 60, "moved some")
        process.kill()
    # A kill can at worst leave a batch that was sent and not deleted.
    for body in bodies[:10]:
        world.client.send_message(QueueUrl=world.queue_url, MessageBody=body)
    world.run_worker()
    until(world.empty, 60, "the moved messages, some of them twice, are settled")
    assert set(world.released().values()) == {1}
    assert len(world.released()) + sum(world.counts(world.dlq_url)) >= FEW
