"""Makes bus, rule, queue and dead-letter queue on an emulator, as in k8s/aws/queues.yaml.

python -m reservation_worker.simulator.sqs.provision --endpoint-url http://localhost:4566
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from reservation_worker.events.kinds import DETAIL_TYPES
from reservation_worker.simulator.processes.child import poll_until
from reservation_worker.simulator.sqs.emulator import CREDENTIALS, NAME, REGION, sqs_client

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sqs import SQSClient

BUS = "traffic-tacos"
_DAY = 86_400


def create_queues(
    sqs: "SQSClient", visibility: int = 60, max_receive: int = 30, name: str = NAME
) -> tuple[str, str]:
    """Make the queue and its dead-letter queue; returns both URLs. Safe to repeat."""
    dead = sqs.create_queue(
        QueueName=f"{name}-dlq", Attributes={"MessageRetentionPeriod": str(14 * _DAY)}
    )["QueueUrl"]
    policy = {"deadLetterTargetArn": arn(sqs, dead), "maxReceiveCount": max_receive}
    queue = sqs.create_queue(
        QueueName=name,
        Attributes={
            "VisibilityTimeout": str(visibility),
            "MessageRetentionPeriod": str(4 * _DAY),
            "RedrivePolicy": json.dumps(policy),
        },
    )["QueueUrl"]
    return queue, dead


def create_rule(
    events: "EventBridgeClient", sqs: "SQSClient", queue_url: str, bus: str = BUS
) -> None:
    """Make a bus, a rule that delivers its events, and the queue's policy. Safe to repeat."""
    try:
        events.create_event_bus(Name=bus)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") != "ResourceAlreadyExistsException":
            raise
    pattern = json.dumps({"detail-type": DETAIL_TYPES})
    rule = events.put_rule(Name=NAME, EventBusName=bus, EventPattern=pattern)["RuleArn"]
    events.put_targets(
        Rule=NAME, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn(sqs, queue_url)}]
    )
    # The emulator would deliver without it; AWS, and therefore `doctor`, wants it.
    send = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": "*",
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [send]})
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": policy})


def arn(sqs: "SQSClient", url: str) -> str:
    """The ARN of the queue at `url`."""
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Wait for the emulator, then make everything; 1 if the emulator does not answer."""
    parser = argparse.ArgumentParser(prog="provision", description="Queues, bus and rule.")
    parser.add_argument("--endpoint-url", default="http://localhost:4566")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds to wait for it")
    args = parser.parse_args(argv)
    keys: dict[str, Any] = {name.lower(): text for name, text in CREDENTIALS.items()}
    session = boto3.Session(region_name=REGION, **keys)
    sqs = sqs_client(args.endpoint_url)
    why: Exception | None = None

    def there() -> bool:
        nonlocal why
        try:
            sqs.list_queues(MaxResults=1)
        except (BotoCoreError, ClientError) as error:
            why = error
            return False
        return True

    if not poll_until(there, args.patience, pause=0.5):
        sys.stderr.write(f"no SQS at {args.endpoint_url}: {why}\n")
        return 1
    queue, dead = create_queues(sqs)
    create_rule(session.client("events", endpoint_url=args.endpoint_url), sqs, queue)
    sys.stdout.write(f"queue {queue}\ndead letters {dead}\nbus {BUS}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
