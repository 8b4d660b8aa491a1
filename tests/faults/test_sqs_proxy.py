"""The fault-injecting SQS proxy injects each fault and records every delivery."""

import itertools
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from reservation_worker.simulator.processes.sqs import SqsProcess
from reservation_worker.simulator.sqs.emulator import sqs_client
from tests.sqs_proxy.process import SqsProxyProcess

pytestmark = pytest.mark.usefixtures("unmeasured")

_names = itertools.count()


class Setup:
    """A proxy before a real server, a client through it, and a direct client."""

    def __init__(self, sqs: SqsProcess, proxy: SqsProxyProcess) -> None:
        self.proxy = proxy
        self.direct = sqs_client(sqs.url)
        self.client = boto3.client(
            "sqs",
            endpoint_url=proxy.url_for("me"),
            region_name="ap-northeast-2",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=3, proxies={}),
        )

    def queue(self, messages: int = 1) -> str:
        url = self.direct.create_queue(
            QueueName=f"q{next(_names)}", Attributes={"VisibilityTimeout": "20"}
        )["QueueUrl"]
        for number in range(messages):
            self.direct.send_message(QueueUrl=url, MessageBody=f"body {number}")
        return url

    def receive(self, url: str) -> list[Any]:
        answer = self.client.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        )
        return answer.get("Messages", [])

    def delete(self, url: str, message: Any) -> Any:
        entries = [{"Id": "0", "ReceiptHandle": message["ReceiptHandle"]}]
        return self.client.delete_message_batch(QueueUrl=url, Entries=entries)

    def left(self, url: str) -> int:
        found = self.direct.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return sum(int(found[name]) for name in names)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SqsProcess, SqsProxyProcess]]:
    with SqsProcess() as sqs, SqsProxyProcess(sqs.url, seed=5) as proxy:
        yield sqs, proxy


@pytest.fixture
def setup(servers: tuple[SqsProcess, SqsProxyProcess]) -> Iterator[Setup]:
    made = Setup(*servers)
    made.proxy.set_faults({})
    yield made
    made.proxy.set_faults({})
    made.client.close()


def test_without_faults_it_changes_nothing_but_the_trace(setup: Setup):
    url = setup.queue(3)
    messages = setup.receive(url)
    assert sorted(message["Body"] for message in messages) == ["body 0", "body 1", "body 2"]
    rows = {row["receipt"]: row for row in setup.proxy.deliveries()}
    for message in messages:
        row = rows[message["ReceiptHandle"]]
        assert (row["worker"], row["message_id"]) == ("me", message["MessageId"])
        given = message["MessageAttributes"]["traceparent"]["StringValue"]
        assert given.split("-")[1] == row["trace_id"]
        assert setup.delete(url, message).get("Failed", []) == []
    assert setup.left(url) == 0
    assert len({row["trace_id"] for row in rows.values()}) == len(rows)


def test_a_duplicate_is_the_same_message_in_a_later_receive_while_it_is_in_flight(setup: Setup):
    setup.proxy.set_faults({"duplicate_delivery": 1})
    url = setup.queue()
    (first,) = setup.receive(url)
    (copy,) = setup.receive(url)
    assert copy["MessageId"] == first["MessageId"]
    assert setup.receive(url) == []
    # Either receipt is valid for the message.
    assert setup.delete(url, copy).get("Failed", []) == []
    assert setup.left(url) == 0


def test_no_duplicate_comes_once_its_message_is_deleted(setup: Setup):
    setup.proxy.set_faults({"duplicate_delivery": 1})
    url = setup.queue()
    (first,) = setup.receive(url)
    setup.delete(url, first)
    assert setup.receive(url) == []


def test_a_message_may_come_again_after_its_delete_if_that_is_asked_for(setup: Setup):
    setup.proxy.set_faults({"duplicate_after_delete": 1})
    url = setup.queue()
    (first,) = setup.receive(url)
    setup.delete(url, first)
    (again,) = setup.receive(url)
    assert again["MessageId"] == first["MessageId"]


def test_reordered_messages_all_come_and_not_in_order(setup: Setup):
    setup.proxy.set_faults({"reorder": 0.5})
    url = setup.queue(30)
    bodies: list[str] = []
    for _ in range(100):
        bodies += [message["Body"] for message in setup.receive(url)]
        if len(bodies) == 30:
            break
    assert len(set(bodies)) == 30
    assert bodies != sorted(bodies, key=lambda body: int(body.split()[1]))


@pytest.mark.parametrize(
    ("fault", "code", "sender"),
    [
        ("delete_failed_sender", "InvalidParameterValue", True),
        ("delete_failed_server", "InternalError", False),
        ("stale_receipt", "ReceiptHandleIsInvalid", True),
    ],
)
def test_a_failed_delete_is_answered_so_and_not_done(
    setup: Setup, fault: str, code: str, sender: bool
):
    url = setup.queue()
    (message,) = setup.receive(url)
    setup.proxy.set_faults({fault: 1})
    (failed,) = setup.delete(url, message)["Failed"]
    assert (failed["Code"], failed["SenderFault"]) == (code, sender)
    assert setup.left(url) == 1


def test_a_lost_delete_is_answered_as_done_and_is_not(setup: Setup):
    url = setup.queue()
    (message,) = setup.receive(url)
    setup.proxy.set_faults({"delete_lost": 1})
    assert [row["Id"] for row in setup.delete(url, message)["Successful"]] == ["0"]
    assert setup.left(url) == 1


@pytest.mark.parametrize(("fault", "left"), [("reset", 1), ("reset_after", 0)])
def test_a_reset_comes_before_or_after_the_effect(setup: Setup, fault: str, left: int):
    url = setup.queue()
    (message,) = setup.receive(url)
    setup.proxy.set_faults({fault: 1})
    with pytest.raises(ConnectionClosedError):
        setup.delete(url, message)
    assert setup.left(url) == left


def test_a_ghost_receive_hides_its_message_and_is_recorded_as_never_sent(setup: Setup):
    setup.proxy.set_faults({"ghost_receive": 1})
    url = setup.queue()
    with pytest.raises(ConnectionClosedError):
        setup.receive(url)
    setup.proxy.set_faults({})
    assert setup.receive(url) == []
    assert setup.left(url) == 1
    assert setup.proxy.deliveries()[-1]["sent_at"] == 0


@pytest.mark.parametrize(
    ("fault", "codes"),
    [
        ("error_500", {"InternalFailure", "ServiceUnavailable"}),
        ("throttled", {"ThrottlingException", "RequestThrottled"}),
        ("expired_credentials", {"ExpiredToken"}),
        ("access_denied", {"AccessDenied"}),
    ],
)
def test_refusals_have_their_real_codes(setup: Setup, fault: str, codes: set[str]):
    setup.proxy.set_faults({fault: 1})
    url = setup.queue()
    seen = set()
    for _ in range(12):
        with pytest.raises(ClientError) as caught:
            setup.receive(url)
        seen.add(caught.value.response["Error"]["Code"])
    assert seen == codes


def test_a_hang_gives_no_answer(setup: Setup):
    setup.proxy.set_faults({"hang": {"rate": 1, "seconds": 30}})
    with pytest.raises(ReadTimeoutError):
        setup.receive(setup.queue())


def test_a_stale_receipt_works_like_the_one_that_replaced_it(setup: Setup):
    url = setup.queue()
    (old,) = setup.receive(url)
    entry = {"Id": "0", "ReceiptHandle": old["ReceiptHandle"], "VisibilityTimeout": 0}
    setup.client.change_message_visibility_batch(QueueUrl=url, Entries=[entry])
    (new,) = setup.receive(url)
    assert new["ReceiptHandle"] != old["ReceiptHandle"]
    setup.proxy.set_faults({"stale_works": 1})
    assert setup.delete(url, old).get("Failed", []) == []
    assert setup.left(url) == 0


def test_faults_hit_only_the_actions_they_are_meant_for(setup: Setup):
    setup.proxy.set_faults({"error_500": {"rate": 1, "actions": ["DeleteMessageBatch"]}})
    url = setup.queue()
    (message,) = setup.receive(url)
    with pytest.raises(ClientError):
        setup.delete(url, message)


def test_the_same_seed_and_config_repeat_the_same_faults(servers: tuple[SqsProcess, Any]):
    def play() -> tuple[list[int], dict[str, int]]:
        with SqsProxyProcess(servers[0].url, seed=7, faults={"delete_lost": 0.5}) as proxy:
            setup = Setup(servers[0], proxy)
            url = setup.queue(10)
            for message in setup.receive(url):
                setup.delete(url, message)
            setup.client.close()
            numbers = [line["number"] for line in proxy.log() if line.get("fault")]
            assert proxy.log()[0] == {"seed": 7, "faults": {"delete_lost": 0.5}}
            left = setup.left(url)
            assert left == len(numbers) == proxy.counts()["delete_lost"]
            return numbers, proxy.counts()

    assert play() == play()
