"""SqsQueue against an SQS that refuses as AWS does."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from email.utils import formatdate
from typing import Any

import pytest

from reservation_worker import __version__
from reservation_worker.errors import SqsError
from reservation_worker.sqs.queue import SqsQueue
from tests.sqs_server import REGION, SqsServer, arn

KEY = "AKIDONE"


@pytest.fixture
def server() -> Iterator[SqsServer]:
    with SqsServer() as made:
        yield made


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture
def queue(server: SqsServer) -> Iterator[SqsQueue]:
    made = SqsQueue(server.url("queue"), REGION, 0, 2, endpoint_url=server.endpoint)
    yield made
    made.close()


def marks(**lengths: int) -> dict[str, Any]:
    return {
        name: {"DataType": "String", "StringValue": "x" * length}
        for name, length in lengths.items()
    }


LETTER = marks(kept=10, dlq_reason=10, dlq_error=500, dlq_time=10)


def names(server: SqsServer, queue: str = "queue-dlq") -> list[list[str]]:
    return [list(sent["MessageAttributes"]) for sent in server.sent[queue]]


def test_the_dead_letter_queue_is_described_with_its_limit(
    server: SqsServer, queue: SqsQueue
) -> None:
    server.attributes["queue-dlq"]["MaximumMessageSize"] = "2048"
    dlq = queue.describe().dlq
    assert dlq is not None
    assert (dlq.url, dlq.arn, dlq.max_bytes) == (server.url("queue-dlq"), arn("queue-dlq"), 2048)


def test_a_dead_letter_fits_the_dead_letter_queues_own_limit_at_once(
    server: SqsServer, queue: SqsQueue
) -> None:
    server.attributes["queue-dlq"]["MaximumMessageSize"] = "1024"
    queue.dead_letter("x" * 800, LETTER, None)
    assert names(server) == [["kept", "dlq_reason"]]
    assert server.count("SendMessage") == 1


def test_a_dead_letter_that_is_refused_for_its_size_is_sent_again_with_less(
    server: SqsServer, queue: SqsQueue
) -> None:
    queue.describe()
    server.attributes["queue-dlq"]["MaximumMessageSize"] = "1024"
    queue.dead_letter("x" * 800, LETTER, None)
    assert names(server) == [["kept", "dlq_reason"]]


def test_the_reason_gives_way_last(server: SqsServer, queue: SqsQueue) -> None:
    server.attributes["queue-dlq"]["MaximumMessageSize"] = "1024"
    server.hidden_limits = True
    queue.dead_letter("x" * 990, LETTER, None)
    assert names(server) == [["kept"]]
    assert server.count("SendMessage") == 4


def test_a_dead_letter_whose_body_alone_is_too_large_is_an_error(
    server: SqsServer, queue: SqsQueue
) -> None:
    server.attributes["queue-dlq"]["MaximumMessageSize"] = "1024"
    with pytest.raises(SqsError) as caught:
        queue.dead_letter("x" * 1025, LETTER, None)
    assert caught.value.code == "InvalidParameterValue"


def test_a_dead_letter_queue_that_may_not_be_looked_at_is_sent_to_all_the_same(
    server: SqsServer,
) -> None:
    server.denied.add("GetQueueAttributes")
    queue = SqsQueue(
        server.url("queue"),
        REGION,
        0,
        2,
        dlq_url=server.url("queue-dlq"),
        endpoint_url=server.endpoint,
    )
    queue.dead_letter("x", LETTER, None)
    queue.close()
    assert names(server) == [list(LETTER)]


def test_a_moved_dead_letter_queue_is_looked_up_at_once_and_only_once(
    server: SqsServer, queue: SqsQueue
) -> None:
    queue.describe()
    del server.attributes["queue-dlq"]
    with pytest.raises(SqsError) as caught:
        queue.dead_letter("x", LETTER, None)
    assert caught.value.code == "NonExistentQueue"
    server.redrive_to("other-dlq")
    queue.dead_letter("x", LETTER, None)
    assert names(server, "other-dlq") == [list(LETTER)]


def test_a_dead_letter_queue_stays_known_while_it_can_not_be_looked_up(
    server: SqsServer, queue: SqsQueue
) -> None:
    queue.describe()
    server.denied.add("GetQueueUrl")
    assert "GetQueueUrl" in queue.describe().dlq_problem
    queue.dead_letter("x", LETTER, None)
    assert names(server) == [list(LETTER)]


# Rights.

RECEIPTS = ["r1", "r2"]
ACTIONS: dict[str, tuple[str, Callable[[SqsQueue], object]]] = {
    "sqs:DeleteMessage": ("DeleteMessageBatch", lambda queue: queue.delete(RECEIPTS)),
    "sqs:ChangeMessageVisibility": (
        "ChangeMessageVisibilityBatch",
        lambda queue: queue.change_visibility(RECEIPTS, 30),
    ),
    "sqs:SendMessage": ("SendMessage", lambda queue: queue.dead_letter("x", LETTER, None)),
}


@pytest.mark.parametrize("right", ACTIONS)
def test_an_action_that_is_refused_for_lack_of_rights_is_remembered_until_it_is_allowed(
    server: SqsServer, queue: SqsQueue, right: str
) -> None:
    action, act = ACTIONS[right]
    act(queue)
    assert queue.refused() == {}
    server.denied.add(action)
    with pytest.raises(SqsError):
        act(queue)
    for other, (_, act_otherwise) in ACTIONS.items():
        if other != right:
            act_otherwise(queue)
    [sentence] = queue.refused().values()
    assert sentence.startswith(f"AccessDenied: allow {right} on the ")
    server.denied.clear()
    act(queue)
    assert queue.refused() == {}


def test_a_dead_letter_queue_that_may_not_be_looked_up_is_a_right_that_is_missing(
    server: SqsServer, queue: SqsQueue
) -> None:
    server.denied.add("GetQueueUrl")
    with pytest.raises(SqsError):
        queue.dead_letter("x", LETTER, None)
    assert queue.refused() == {
        "sqs:SendMessage": "AccessDenied: allow sqs:GetQueueUrl on both queues"
    }


def test_an_entry_that_is_refused_for_lack_of_rights_counts_too(
    server: SqsServer, queue: SqsQueue
) -> None:
    server.failed_entries["r2"] = "KMS.AccessDeniedException"
    assert list(queue.delete(RECEIPTS)) == [1]
    assert queue.refused()["sqs:DeleteMessage"] == (
        "KMS.AccessDenied: allow kms:GenerateDataKey and kms:Decrypt on the key of the queue"
    )
    server.failed_entries["r2"] = "ReceiptHandleIsInvalid"
    assert list(queue.delete(RECEIPTS)) == [1]
    assert queue.refused() == {}


@pytest.mark.parametrize("code", ["ServiceUnavailable", "ExpiredToken"])
def test_an_outage_and_bad_credentials_say_nothing_of_rights(
    server: SqsServer, queue: SqsQueue, code: str
) -> None:
    server.refused_keys[KEY] = code
    with pytest.raises(SqsError):
        queue.delete(RECEIPTS)
    assert queue.refused() == {}
    server.refused_keys.clear()
    server.denied.add("DeleteMessageBatch")
    with pytest.raises(SqsError):
        queue.delete(RECEIPTS)
    server.refused_keys[KEY] = code
    with pytest.raises(SqsError):
        queue.delete(RECEIPTS)
    assert list(queue.refused()) == ["sqs:DeleteMessage"]


def received(seconds: float) -> dict[str, Any]:
    """A message that was sent and first received at a Unix time."""
    stamp = str(int(seconds * 1000))
    system = {"SentTimestamp": stamp, "ApproximateFirstReceiveTimestamp": stamp}
    return {"MessageId": "m", "ReceiptHandle": "r", "Body": "x", "Attributes": system}


@pytest.mark.parametrize("ahead", [-86_400, -400, 0, 400, 86_400])
def test_the_age_of_a_message_is_by_the_clock_of_sqs_and_never_too_young(
    server: SqsServer, queue: SqsQueue, ahead: float
) -> None:
    now = int(time.time()) + ahead
    server.date = formatdate(now, usegmt=True)
    server.messages = [received(now - 99.5)]
    [message] = queue.receive(10, 0)
    assert (message.since_sent, message.since_first_receive) == (100.5, 100.5)


@pytest.mark.parametrize(
    "date", ["", "soon", "Sun, 32 Nov 2026 12:00:00 GMT", f"Sun, 1 Nov {10**20} 12:00:00 GMT"]
)
def test_where_sqs_sends_no_time_the_age_is_by_this_machines_clock(
    server: SqsServer, queue: SqsQueue, date: str
) -> None:
    server.date = date
    server.messages = [received(time.time() - 100)]
    [message] = queue.receive(10, 0)
    assert message.since_first_receive == pytest.approx(100, abs=60)


def test_a_message_from_the_future_is_new(server: SqsServer, queue: SqsQueue) -> None:
    server.messages = [received(time.time() + 100)]
    [message] = queue.receive(10, 0)
    assert message.since_sent == 0


@pytest.mark.parametrize("app", ["", "shop"])
def test_calls_name_the_worker_and_the_callers_application_if_it_has_a_name(
    server: SqsServer, monkeypatch: pytest.MonkeyPatch, app: str
) -> None:
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", app)
    with closing(SqsQueue(server.url("queue"), REGION, 0, 2, endpoint_url=server.endpoint)) as made:
        made.receive(1, 0)
        made.delete(["receipt"])
    expected = f"app/{app}" if app else f"reservation-worker/{__version__}"
    assert len(server.agents) == 2
    assert all(expected in agent.split() for agent in server.agents)
