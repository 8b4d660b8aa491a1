"""The policies of k8s/iam, enforced on a real worker by an account that records its calls."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from reservation_worker.simulator.sqs.emulator import REGION
from reservation_worker.simulator.story.scenario import Message
from reservation_worker.sqs.queue import SqsQueue
from tests.deploy.cloud import ACCOUNT, BUS, Cloud, document, granted, token

ROLE = "reservation-worker-role"


def is_of(arn: str, parameters: dict[str, str]) -> bool:
    """Whether a call with these parameters used the resource."""
    name = arn.rpartition(":")[2].removesuffix("-*")
    return any(str(text).endswith(name) for text in parameters.values())


@pytest.fixture(scope="module")
def role(aws: Cloud) -> str:
    return aws.role(ROLE, document("policy.json"), document("trust-irsa.json"))


def test_policy_json_is_enough_for_everything_the_worker_does_and_has_no_unused_right(
    aws: Cloud, role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(token("reservation-worker-sa"))
    secret = json.dumps({"sqs_queue_url": aws.queue_url})
    aws.connect("secretsmanager").create_secret(
        Name="traffictacos/reservation-worker", SecretString=secret
    )
    topic = aws.connect("sns").create_topic(Name="traffic-tacos-notifications")["TopicArn"]
    # Shorter than one call, so that the lease of a slow call has to be renewed.
    aws.client.set_queue_attributes(QueueUrl=aws.queue_url, Attributes={"VisibilityTimeout": "4"})
    [slow, failing, *others] = aws.seed(12)
    aws.neighbours.hang("inventory", [slow])
    aws.neighbours.answer("reservation", {"status": 503}, ids=[failing])
    aws.expire([slow, failing, *others])
    aws.publish([Message("not JSON", "poison", "poison", "poison")])

    # As in a pod: a role and a token, no keys; the queue's URL only in the secret.
    worker = aws.run_worker(
        AWS_ACCESS_KEY_ID="",
        AWS_SECRET_ACCESS_KEY="",
        AWS_ROLE_ARN=role,
        AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "token"),
        USE_SECRET_MANAGER="true",
        SQS_QUEUE_URL="",
        NOTIFICATION_TOPIC_ARN=topic,
        BACKOFF_BASE_MS="1",
    )
    worker.until(lambda: len(aws.released()) == 11, 60, "settled all but the slow one")
    worker.until(
        lambda: worker.metrics().value("worker_leases_renewed_total") > 0, 60, "renewed its lease"
    )
    aws.neighbours.clear()
    worker.until(aws.empty, 60, "settled all")
    worker.signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    assert [one.reason for one in aws.dead_letters()] == ["invalid_payload"]
    assert [line for line in worker.log_lines() if "denied" in line["msg"].lower()] == []

    # The status page's request.
    keys = aws.login(role)
    for name, text in keys.items():
        monkeypatch.setenv(name.upper(), text)
    queue = SqsQueue(aws.queue_url, REGION, 1, 1, endpoint_url=aws.sqs.url)
    assert queue.depths().dead == 1

    # Each of the worker's boto3 sessions logs in separately.
    sessions = aws.callers("GetSecretValue", "DeleteMessageBatch", "POST.sns")
    assert len(sessions) == 3
    unused = [
        (action, arn)
        for action, arn in granted(document("policy.json"))
        if not any(
            is_of(arn, call) for call in aws.called(action, *sessions, keys["aws_access_key_id"])
        )
    ]
    assert unused == []


def refused(call: Any, **parameters: Any) -> bool:
    """Whether IAM denies the call. Other errors are raised."""
    try:
        call(**parameters)
    except ClientError as error:
        if "AccessDenied" not in error.response["Error"]["Code"]:
            raise
        return True
    return False


def test_the_workers_role_can_neither_read_dead_letters_nor_purge_nor_publish(
    aws: Cloud, role: str
) -> None:
    sqs = aws.connect("sqs", **aws.login(role))
    assert not refused(sqs.get_queue_attributes, QueueUrl=aws.dlq_url)
    assert refused(sqs.receive_message, QueueUrl=aws.dlq_url)
    assert refused(sqs.purge_queue, QueueUrl=aws.queue_url)
    assert refused(sqs.send_message, QueueUrl=aws.queue_url, MessageBody="{}")


def test_another_service_account_does_not_get_the_workers_role(aws: Cloud, role: str) -> None:
    assert refused(aws.login, role=role, account="default")


def test_keda_can_measure_the_queue_and_no_more(aws: Cloud) -> None:
    keda = aws.role("keda", document("keda-policy.json"), document("trust-irsa.json"))
    sqs = aws.connect("sqs", **aws.login(keda))
    assert not refused(sqs.get_queue_attributes, QueueUrl=aws.queue_url, AttributeNames=["All"])
    assert refused(sqs.receive_message, QueueUrl=aws.queue_url)


def test_operators_can_publish_and_move_a_dead_letter_back_but_not_purge(aws: Cloud) -> None:
    role = aws.role("operators", document("operators-policy.json"), document("trust-irsa.json"))
    keys = aws.login(role)
    sqs = aws.connect("sqs", **keys)
    aws.client.send_message(QueueUrl=aws.dlq_url, MessageBody="{}")
    letter = {"QueueUrl": aws.dlq_url}
    [message, *_] = sqs.receive_message(**letter, VisibilityTimeout=60)["Messages"]
    letter["ReceiptHandle"] = message["ReceiptHandle"]
    assert not refused(sqs.change_message_visibility, **letter, VisibilityTimeout=30)
    assert not refused(sqs.send_message, QueueUrl=aws.queue_url, MessageBody="{}")
    assert not refused(sqs.delete_message, **letter)
    event = {"EventBusName": BUS, "Source": "test", "DetailType": "payment.failed", "Detail": "{}"}
    assert not refused(aws.connect("events", **keys).put_events, Entries=[event])
    assert refused(sqs.purge_queue, QueueUrl=aws.queue_url)
    assert refused(sqs.purge_queue, QueueUrl=aws.dlq_url)


@pytest.mark.parametrize("name", ["policy.json", "operators-policy.json", "keda-policy.json"])
def test_no_policy_has_a_wildcard_except_at_the_end_of_the_secrets_name(name: str) -> None:
    for action, arn in granted(document(name)):
        assert "*" not in action
        if action.startswith("events:List") and arn == "*":
            continue  # EventBridge knows no narrower resource for its lists
        assert f":{ACCOUNT}:" in arn
        assert "*" not in arn.removesuffix("traffictacos/reservation-worker-*")


@pytest.mark.parametrize("name", ["trust-irsa.json", "trust-pod-identity.json"])
def test_both_trust_policies_name_the_service_account_of_the_pods(name: str) -> None:
    [statement] = document(name)["Statement"]
    required = " ".join(statement["Condition"]["StringEquals"].values())
    assert "traffic-tacos" in required
    assert "reservation-worker-sa" in required
