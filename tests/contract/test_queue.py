"""The pipeline's requirements of a queue: one suite for the fake and for SqsQueue on each emulator.

Where an emulator differs from AWS, the mark on its parameter explains how.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from reservation_worker.errors import SqsError
from reservation_worker.sqs.batches import MAX_BYTES
from reservation_worker.sqs.facts import refusals
from reservation_worker.sqs.queue import Depths, Message, SqsQueue
from tests.contract.queues import KINDS, NOWHERE, FakeWorld, SqsWorld, World, differs, sqs_queue
from tests.fake_queue import DeadLetter

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "text": {"DataType": "String", "StringValue": "한국어 🌮"},
    "number": {"DataType": "Number", "StringValue": "42"},
    "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
}


MakeWorld = Callable[..., World]


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest) -> MakeWorld:
    """Makes worlds: `visibility` is the queue's timeout in seconds."""

    def make(visibility: int = 30, has_dlq: bool = True, dlq_max_bytes: int = MAX_BYTES) -> World:
        if request.param == "fake":
            return FakeWorld(visibility, has_dlq, dlq_max_bytes)
        endpoint = request.getfixturevalue(request.param)
        return SqsWorld(endpoint, visibility, has_dlq, dlq_max_bytes)

    return make


def receive(world: World, count: int = 1) -> list[Message]:
    """Receive exactly `count` messages, in as many receives as it takes."""
    found: list[Message] = []
    while len(found) < count:
        more = world.queue.receive(min(10, count - len(found)), 20)
        assert more, f"only {len(found)} of {count} messages came"
        found += more
    return found


def receive_twice(world: World) -> tuple[Message, Message]:
    """Two copies of one message: the first is no longer ours."""
    world.send("x")
    [old] = receive(world)
    assert world.queue.change_visibility([old.receipt], 0) == {}
    [new] = receive(world)
    assert (new.id, new.receive_count) == (old.id, 2)
    return old, new


def test_every_message_sent_is_received_once_and_no_more_than_asked_for_at_a_time(
    world: MakeWorld,
) -> None:
    queue = world()
    sent = {queue.send(f"body {number}"): f"body {number}" for number in range(12)}
    some = queue.queue.receive(2, 0)
    assert len(some) <= 2
    assert {one.id: one.body for one in [*some, *receive(queue, 12 - len(some))]} == sent
    assert queue.queue.receive(10, 0) == []


def test_an_empty_receive_returns_after_its_wait_and_without_one_at_once(
    world: MakeWorld,
) -> None:
    queue = world().queue
    began = time.monotonic()
    assert queue.receive(10, 1) == []
    assert time.monotonic() - began > 0.9
    assert queue.receive(10, 0) == []


def test_a_long_poll_ends_when_a_message_comes(world: MakeWorld) -> None:
    queue = world()
    sender = threading.Timer(0.2, queue.send, ["x"])
    sender.start()
    began = time.monotonic()
    assert [one.body for one in queue.queue.receive(10, 20)] == ["x"]
    assert time.monotonic() - began < 15
    sender.join()


def test_a_message_brings_its_age_and_its_attributes_and_trace_header_if_it_has_any(
    world: MakeWorld,
) -> None:
    queue = world()
    sent_id = queue.send("한국어 🌮", attributes=ATTRIBUTES, trace=TRACE)
    [message] = receive(queue)
    assert (message.id, message.body, message.trace_header) == (sent_id, "한국어 🌮", TRACE)
    assert message.attributes == ATTRIBUTES
    assert message.receive_count == 1
    assert message.since_sent is not None
    assert 0 <= message.since_sent < 60
    assert message.since_first_receive is not None
    assert 0 <= message.since_first_receive <= message.since_sent
    queue.send("x")
    [plain] = receive(queue)
    assert (plain.attributes, plain.trace_header) == ({}, None)


def test_an_undeleted_message_comes_again_with_a_new_receipt(world: MakeWorld) -> None:
    queue = world(visibility=1)
    queue.send("x")
    [first] = receive(queue)
    [second] = receive(queue)
    assert (second.id, second.receive_count) == (first.id, 2)
    assert second.receipt != first.receipt


def test_visibility_zero_gives_a_message_back_at_once(world: MakeWorld) -> None:
    queue = world()
    queue.send("x")
    [message] = receive(queue)
    assert queue.queue.change_visibility([message.receipt], 0) == {}
    assert [one.receive_count for one in queue.queue.receive(1, 5)] == [2]


def test_a_longer_visibility_keeps_a_message_hidden_beyond_the_queues_own(
    world: MakeWorld,
) -> None:
    queue = world(visibility=1)
    queue.send("x")
    [message] = receive(queue)
    assert queue.queue.change_visibility([message.receipt], 30) == {}
    assert queue.queue.receive(1, 2) == []


def test_a_message_is_deleted_alone_or_with_nine_others_in_one_call(world: MakeWorld) -> None:
    queue = world()
    for number in range(11):
        queue.send(str(number))
    messages = receive(queue, 11)
    assert queue.queue.delete([one.receipt for one in messages[:10]]) == {}
    assert queue.left() == 1
    assert queue.queue.delete([messages[10].receipt]) == {}
    assert queue.left() == 0


def test_a_bad_receipt_among_good_ones_fails_alone_and_by_its_position(world: MakeWorld) -> None:
    queue = world()
    for _ in range(2):
        queue.send("x")
    first, second = [one.receipt for one in receive(queue, 2)]
    for call in (
        lambda batch: queue.queue.change_visibility(batch, 30),
        queue.queue.delete,
    ):
        failures = call([first, "nonsense", second])
        assert list(failures) == [1]
        assert failures[1].gone
    assert queue.left() == 0


@differs("external", "LocalStack never says that a failure is the sender's")
def test_a_bad_receipt_is_the_senders_fault(world: MakeWorld) -> None:
    queue = world().queue
    for call in (queue.delete, lambda receipts: queue.change_visibility(receipts, 30)):
        assert call(["nonsense"])[0].sender_fault


def test_two_copies_of_one_message_may_be_in_one_batch(world: MakeWorld) -> None:
    queue = world()
    old, new = receive_twice(queue)
    assert 1 not in queue.queue.change_visibility([old.receipt, new.receipt], 30)
    assert 1 not in queue.queue.delete([old.receipt, new.receipt])
    assert queue.left() == 0


@differs("moto external", "an old receipt handle still deletes; on AWS it does not")
def test_an_old_receipt_does_not_delete_the_copy_handed_out_since(world: MakeWorld) -> None:
    queue = world()
    old, new = receive_twice(queue)
    # AWS accepts it and MiniStack refuses it; neither means that the message is gone.
    queue.queue.delete([old.receipt])
    assert queue.left() == 1
    assert queue.queue.delete([new.receipt]) == {}
    assert queue.left() == 0


def test_the_visibility_of_a_deleted_message_cannot_be_changed(world: MakeWorld) -> None:
    queue = world()
    queue.send("x")
    [message] = receive(queue)
    queue.queue.delete([message.receipt])
    [failure] = queue.queue.change_visibility([message.receipt], 30).values()
    assert failure.gone
    assert queue.left() == 0


@differs("elasticmq", "an empty batch is answered with an empty answer")
def test_an_empty_batch_is_refused(world: MakeWorld) -> None:
    with pytest.raises(SqsError):
        world().queue.delete([])


def test_a_batch_of_more_than_ten_is_refused(world: MakeWorld) -> None:
    with pytest.raises(SqsError):
        world().queue.delete(["nonsense"] * 11)


def test_a_dead_letter_keeps_its_body_and_its_attributes_and_trace_if_it_has_any(
    world: MakeWorld,
) -> None:
    queue = world()
    assert queue.queue.describe().dlq_problem == ""
    for letter in (DeadLetter("한국어 🌮", ATTRIBUTES, TRACE), DeadLetter("x", {}, None)):
        queue.queue.dead_letter(letter.body, letter.attributes, letter.trace)
        assert queue.dead_letters()[-1:] == [letter]


def test_a_queue_without_a_dead_letter_queue_reports_it_and_refuses_dead_letters(
    world: MakeWorld,
) -> None:
    queue = world(has_dlq=False).queue
    assert "no dead-letter queue" in queue.describe().dlq_problem
    with pytest.raises(SqsError) as caught:
        queue.dead_letter("x", {}, None)
    assert caught.value.code == "NoDeadLetterQueue"


def test_a_dead_letter_beyond_the_limits_of_sqs_is_refused(world: MakeWorld) -> None:
    queue = world()
    with pytest.raises(SqsError):
        queue.queue.dead_letter("x" * (1024 * 1024 + 1), {}, None)
    assert queue.dead_letters() == []


@differs("elasticmq", "it keeps messages for ever and has no retention period")
def test_the_queue_describes_itself(world: MakeWorld) -> None:
    for has_dlq, count in ((True, 30), (False, None)):
        facts = world(visibility=7, has_dlq=has_dlq).queue.describe()
        assert (facts.visibility, facts.max_receive_count, facts.retention) == (7, count, 345_600)


@differs("elasticmq", "it has no limit of its own")
def test_a_dead_letter_fits_the_dead_letter_queues_own_limit(world: MakeWorld) -> None:
    made = world(dlq_max_bytes=1024)
    marks = {
        name: {"DataType": "String", "StringValue": "x" * length}
        for name, length in (("kept", 10), ("dlq_reason", 10), ("dlq_error", 500))
    }
    made.queue.dead_letter("x" * 700, marks, None)
    [letter] = made.dead_letters()
    assert set(letter.attributes) == {"kept", "dlq_reason"}


# Behaviour of SqsQueue only.


@pytest.fixture(params=KINDS[1:])
def endpoint(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(request.param)


def test_the_dead_letter_queue_is_found_even_if_the_start_could_not_read_the_attributes(
    endpoint: str,
) -> None:
    made = SqsWorld(endpoint, visibility=30, has_dlq=True)
    sqs_queue(made.url, endpoint).dead_letter("x", {}, None)
    assert [one.body for one in made.dead_letters()] == ["x"]


def test_a_configured_dead_letter_queue_wins(endpoint: str) -> None:
    made = SqsWorld(endpoint, visibility=30, has_dlq=True)
    other = SqsWorld(endpoint, visibility=30, has_dlq=False)
    queue = sqs_queue(made.url, endpoint, dlq_url=other.url)
    facts = queue.describe()
    assert facts.dlq is not None
    assert facts.dlq.url == other.url
    queue.dead_letter("x", {}, None)
    assert (other.left(), made.dead_letters()) == (1, [])


def test_a_dead_letter_queue_that_was_replaced_is_found_by_the_next_dead_letter(
    endpoint: str,
) -> None:
    made = SqsWorld(endpoint, visibility=30, has_dlq=True)
    other = SqsWorld(endpoint, visibility=30, has_dlq=False)
    made.redrive_to(other.url)
    made.client.delete_queue(QueueUrl=made.dlq_url)
    made.queue.dead_letter("x", {}, None)
    assert other.left() == 1


def test_a_dead_letter_queue_that_was_replaced_is_found_by_the_next_description(
    endpoint: str,
) -> None:
    made = SqsWorld(endpoint, visibility=30, has_dlq=True)
    other = SqsWorld(endpoint, visibility=30, has_dlq=False)
    made.redrive_to(other.url)
    facts = made.queue.describe()
    assert facts.dlq is not None
    assert facts.dlq.url == other.url
    made.queue.dead_letter("x", {}, None)
    assert (other.left(), made.dead_letters()) == (1, [])


def test_a_dead_letter_queue_that_is_the_queue_itself_gets_no_dead_letter(endpoint: str) -> None:
    made = SqsWorld(endpoint, visibility=30, has_dlq=True)
    made.redrive_to(made.url)
    for queue in (
        made.queue,
        sqs_queue(made.url, endpoint),
        sqs_queue(made.url, endpoint, dlq_url=made.url.replace("127.0.0.1", "localhost")),
    ):
        facts = queue.describe()
        assert facts.dlq_is_itself
        assert "is the queue itself" in refusals(facts)[0]
        with pytest.raises(SqsError) as caught:
            queue.dead_letter("x", {}, None)
        assert caught.value.code == "DeadLetterQueueIsTheQueue"
    assert made.left() == 0


def test_the_depths_of_both_queues_are_reported(endpoint: str) -> None:
    made = SqsWorld(endpoint, visibility=30, has_dlq=True)
    for _ in range(3):
        made.send("x")
    made.queue.receive(1, 0)
    made.queue.dead_letter("x", {}, None)
    assert made.queue.depths() == Depths(visible=2, in_flight=1, delayed=0, dead=1)


def test_the_depth_of_a_missing_dead_letter_queue_is_unknown(endpoint: str) -> None:
    made = SqsWorld(endpoint, visibility=30, has_dlq=False)
    assert made.queue.depths().dead is None


CALLS: dict[str, Callable[[SqsQueue], object]] = {
    "describe": lambda queue: queue.describe(),
    "depths": lambda queue: queue.depths(),
    "receive": lambda queue: queue.receive(1, 0),
    "delete": lambda queue: queue.delete(["x"]),
    "change_visibility": lambda queue: queue.change_visibility(["x"], 0),
    "dead_letter": lambda queue: queue.dead_letter("x", {}, None),
}


def test_a_missing_queue_is_an_error_with_the_code_of_sqs(endpoint: str) -> None:
    url = f"{endpoint}/000000000000/nobody"
    queue = sqs_queue(url, endpoint, dlq_url=url)
    for name, call in CALLS.items():
        with pytest.raises(SqsError) as caught:
            call(queue)
        # AWS uses the code of its older protocol, ElasticMQ that of the newer one.
        assert caught.value.code in ("NonExistentQueue", "QueueDoesNotExist"), name


def test_an_unreachable_queue_is_an_error() -> None:
    url = f"{NOWHERE}/000000000000/q"
    queue = sqs_queue(url, NOWHERE, dlq_url=f"{url}-dlq")
    for name, call in CALLS.items():
        with pytest.raises(SqsError) as caught:
            call(queue)
        assert caught.value.code == "EndpointConnectionError", name
