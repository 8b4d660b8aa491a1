"""A whole system for a test: the simulator's stack with shortcuts for tests."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import boto3

from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.processes.child import poll_until
from reservation_worker.simulator.processes.stack import Stack
from reservation_worker.simulator.processes.worker import WorkerProcess
from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION
from reservation_worker.simulator.sqs.provision import arn, create_queues
from reservation_worker.simulator.story.scenario import Message


class World(Stack):
    """Embedded SQS, both neighbours and workers, each in its own process.

    `renew` makes it as new for another test, because each new process costs a second of CPU time.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._workers: list[WorkerProcess] = []
        self._renewals = 0
        self._journal_before = 0

    def renew(self) -> None:
        """End the workers and all faults; new queues, ids and logs, and an empty `released`."""
        while self._workers:
            self._workers.pop().stop()
        self.neighbours.clear()
        self.neighbours.latency(*self._latency)
        self._journal_before = len(self.neighbours.ledger()["journal"])
        self._renewals += 1
        name = f"{self.sqs.queue_name}-{self._renewals}"
        self.queue_url, self.dlq_url = create_queues(
            self.client, self._visibility, self.max_receive, name
        )
        self._directory = self.neighbours.directory / str(self._renewals)
        self._directory.mkdir()

    def worker(self, env: Mapping[str, str] | None = None, name: str = "worker") -> WorkerProcess:
        self._workers.append(super().worker(env, name))
        return self._workers[-1]

    def run_worker(self, name: str = "worker", **env: str) -> WorkerProcess:
        """A started worker that answers on /health."""
        process = self.worker({"SQS_WAIT_TIME": "1", **env}, name).start()
        process.until(lambda: process.health()[0] == 200, 60, "answered on /health")
        return process

    def seed(self, count: int, prefix: str = "rsv") -> list[str]:
        """Reservations in HOLD, one seat each; returns their ids."""
        new = f"{self._renewals}_" if self._renewals else ""
        ids = [f"{prefix}_{new}{number}" for number in range(count)]
        self.neighbours.seed(Record(rid, "show", (f"S-{rid}",)) for rid in ids)
        return ids

    def expire(self, ids: list[str]) -> None:
        """Publish `reservation.expired` for each."""
        self.publish(
            Message(
                json.dumps(
                    {
                        "type": "reservation.expired",
                        "detail": {
                            "reservation_id": rid,
                            "event_id": "show",
                            "qty": 1,
                            "seat_ids": [f"S-{rid}"],
                        },
                    }
                ),
                "expired",
                "expired",
                "canonical",
            )
            for rid in ids
        )

    def counts(self, url: str | None = None) -> tuple[int, int]:
        """How many messages of the queue are visible, and how many in flight."""
        found = self.client.get_queue_attributes(
            QueueUrl=url or self.queue_url, AttributeNames=["All"]
        )["Attributes"]
        return (
            int(found["ApproximateNumberOfMessages"]),
            int(found["ApproximateNumberOfMessagesNotVisible"]),
        )

    def set_visibility(self, seconds: int) -> None:
        """Change the queue's visibility timeout."""
        self.client.set_queue_attributes(
            QueueUrl=self.queue_url, Attributes={"VisibilityTimeout": str(seconds)}
        )

    def move_dlq(self) -> None:
        """Send dead letters to a new queue from now on, and delete the old one."""
        old, name = self.dlq_url, f"{self.sqs.queue_name}-dlq-moved"
        self.dlq_url = self.client.create_queue(QueueName=name)["QueueUrl"]
        policy = {
            "deadLetterTargetArn": arn(self.client, self.dlq_url),
            "maxReceiveCount": self.max_receive,
        }
        self.client.set_queue_attributes(
            QueueUrl=self.queue_url, Attributes={"RedrivePolicy": json.dumps(policy)}
        )
        self.client.delete_queue(QueueUrl=old)

    def empty(self) -> bool:
        """Nothing is left in the queue, in flight or delayed."""
        return self.depth() == 0

    def released(self) -> dict[str, int]:
        """How often a release took effect, by reservation."""
        found: dict[str, int] = {}
        for entry in self.neighbours.ledger(self._journal_before)["journal"]:
            if entry["op"] == "release" and entry["outcome"] == "applied":
                found[entry["reservation_id"]] = found.get(entry["reservation_id"], 0) + 1
        return found

    def subscribed_topic(self) -> tuple[str, str]:
        """The ARN of a new SNS topic, and the URL of a queue that subscribes to it."""
        keys: dict[str, Any] = {name.lower(): text for name, text in CREDENTIALS.items()}
        sns = boto3.client("sns", endpoint_url=self.sqs.url, region_name=REGION, **keys)
        topic = sns.create_topic(Name="customers")["TopicArn"]
        url = self.client.create_queue(QueueName="customers")["QueueUrl"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn(self.client, url))
        return topic, url

    def notifications(self, url: str) -> list[dict[str, str]]:
        """The messages in the queue of `subscribed_topic`."""
        found = []
        while messages := self.client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            found += [json.loads(json.loads(one["Body"])["Message"]) for one in messages]
        return found

    def calls(self) -> int:
        """How many calls both neighbours have received."""
        return sum(int(one["calls"]) for one in self.neighbours.health().values())


def until(check: Callable[[], bool], timeout: float, what: str) -> None:
    """Poll another process's state; fails with `what` after `timeout` seconds."""
    assert poll_until(check, timeout, pause=0.1), f"after {timeout} s still not: {what}"
