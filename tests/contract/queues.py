"""Queues to test: the fake, or SqsQueue on an SQS server, with a reader of its dead letters."""

import functools
import json
import os
import uuid
from typing import Any, Protocol

import boto3
import pytest

from reservation_worker.simulator.processes.sqs import EXTERNAL_SQS
from reservation_worker.sqs.batches import MAX_BYTES
from reservation_worker.sqs.queue import SqsQueue
from tests.fake_queue import DeadLetter, FakeQueue

REGION = "ap-northeast-2"
NOWHERE = "http://127.0.0.1:1"
KINDS = ["fake", "ministack", "moto", "elasticmq"]
if EXTERNAL_SQS in os.environ:
    KINDS.append("external")


def differs(kinds: str, reason: str) -> pytest.MarkDecorator:
    """The suite without the emulators that differ from AWS here."""
    params = [
        pytest.param(one, marks=pytest.mark.skip(reason=reason)) if one in kinds.split() else one
        for one in KINDS
    ]
    return pytest.mark.parametrize("world", params, indirect=True)


class World(Protocol):
    """A queue, and the methods of its producer and of a reader of its dead letters."""

    queue: Any

    def send(self, body: str, **parts: Any) -> str: ...
    def left(self) -> int: ...
    def dead_letters(self) -> list[DeadLetter]: ...


class FakeWorld:
    def __init__(self, visibility: int, has_dlq: bool, dlq_max_bytes: int) -> None:
        count = 30 if has_dlq else None
        self.queue = FakeQueue(visibility=visibility, max_receive_count=count, has_dlq=has_dlq)
        self.queue.dlq_max_bytes = dlq_max_bytes
        self.send = self.queue.send

    def left(self) -> int:
        return len(self.queue.left())

    def dead_letters(self) -> list[DeadLetter]:
        return self.queue.dlq


class SqsWorld:
    """A new queue, with or without a dead-letter queue, on a running emulator."""

    def __init__(
        self, endpoint: str, visibility: int, has_dlq: bool, dlq_max_bytes: int = MAX_BYTES
    ) -> None:
        self.endpoint = endpoint
        self.client = client(endpoint)
        name = f"q-{uuid.uuid4().hex}"
        attributes = {"VisibilityTimeout": str(visibility), "MessageRetentionPeriod": "345600"}
        self.dlq_url = None
        if has_dlq:
            self.dlq_url = self.client.create_queue(
                QueueName=f"{name}-dlq", Attributes={"MaximumMessageSize": str(dlq_max_bytes)}
            )["QueueUrl"]
            arn = self._attributes(self.dlq_url)["QueueArn"]
            policy = {"deadLetterTargetArn": arn, "maxReceiveCount": "30"}
            attributes["RedrivePolicy"] = json.dumps(policy)
        self.url = self.client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.queue = sqs_queue(self.url, endpoint)
        self.queue.describe()

    def send(self, body: str, attributes: Any = None, trace: str | None = None) -> str:
        system = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}} if trace else {}
        return self.client.send_message(
            QueueUrl=self.url,
            MessageBody=body,
            MessageAttributes=attributes or {},
            MessageSystemAttributes=system,
        )["MessageId"]

    def left(self) -> int:
        found = self._attributes(self.url)
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return sum(int(found[name]) for name in names)

    def dead_letters(self) -> list[DeadLetter]:
        answer = self.client.receive_message(
            QueueUrl=self.dlq_url,
            MaxNumberOfMessages=10,
            MessageAttributeNames=["All"],
            MessageSystemAttributeNames=["AWSTraceHeader"],
        )
        return [
            DeadLetter(
                raw["Body"],
                raw.get("MessageAttributes", {}),
                raw.get("Attributes", {}).get("AWSTraceHeader"),
            )
            for raw in answer.get("Messages", [])
        ]

    def redrive_to(self, url: str) -> None:
        """From now on the RedrivePolicy names the queue at `url`."""
        policy = {"deadLetterTargetArn": self._attributes(url)["QueueArn"], "maxReceiveCount": "30"}
        self.client.set_queue_attributes(
            QueueUrl=self.url, Attributes={"RedrivePolicy": json.dumps(policy)}
        )

    def _attributes(self, url: str) -> dict[str, str]:
        answer = self.client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        return answer["Attributes"]


@functools.cache
def client(endpoint: str) -> Any:
    return boto3.client("sqs", region_name=REGION, endpoint_url=endpoint)


def sqs_queue(url: str, endpoint: str, wait: int = 20, **more: Any) -> SqsQueue:
    return SqsQueue(url, REGION, wait, connections=4, endpoint_url=endpoint, **more)
