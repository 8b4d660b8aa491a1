"""Notifications through a real SNS topic; and a topic that hangs, beside which all is settled."""

import json
import signal
import socket
from typing import Any

import boto3

from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION
from tests.world import World, until


def subscribed_topic(world: World) -> tuple[str, str]:
    """A topic's ARN, and the URL of a queue that gets all it is sent."""
    keys: dict[str, Any] = {name.lower(): text for name, text in CREDENTIALS.items()}
    sns = boto3.client("sns", endpoint_url=world.sqs.url, region_name=REGION, **keys)
    topic = sns.create_topic(Name="customers")["TopicArn"]
    url = world.client.create_queue(QueueName="customers")["QueueUrl"]
    attributes = world.client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=attributes["Attributes"]["QueueArn"])
    return topic, url


def test_each_settled_event_is_told_to_the_topic_once(world: World) -> None:
    topic, url = subscribed_topic(world)
    ids = world.seed(12)
    world.expire([*ids, *ids[:3]])
    worker = world.run_worker(NOTIFICATION_TOPIC_ARN=topic)
    until(world.empty, 30, "everything is settled")
    worker.signal(signal.SIGTERM)
    assert worker.wait(30) == 0

    told = []
    while messages := world.client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
        "Messages"
    ):
        told += [json.loads(json.loads(one["Body"])["Message"]) for one in messages]
    assert sorted(one["id"] for one in told) == sorted(f"reservation_expired:{rid}" for rid in ids)
    assert {one["event_id"] for one in told} == {"show"}


def test_a_topic_that_never_answers_keeps_nothing_from_being_settled(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=100) as deaf:
        ids = world.seed(50)
        world.expire(ids)
        worker = world.run_worker(
            NOTIFICATION_TOPIC_ARN=f"arn:aws:sns:{REGION}:000000000000:customers",
            AWS_ENDPOINT_URL_SNS=f"http://127.0.0.1:{deaf.getsockname()[1]}",
        )
        until(world.empty, 20, "everything is settled")
        assert len(world.released()) == 50
        worker.signal(signal.SIGTERM)
        assert worker.wait(15) == 0  # of SHUTDOWN_TIMEOUT's 30
