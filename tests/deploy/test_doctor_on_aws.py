"""`doctor` finds what keeps the first event from arriving, in an account that enforces policies."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from reservation_worker.cli.doctor import eventbridge, queue
from reservation_worker.cli.doctor.result import CheckResult
from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION
from tests.deploy.cloud import ACCOUNT, BUS, Cloud, document

QUEUE = "traffic-tacos-reservation-events"
KNOWN: dict[str, Any] = {
    # As AWS spells it: at an emulator much is only a warning.
    "sqs_queue_url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{QUEUE}",
    "sqs_region": REGION,
    "sqs_dlq_url": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{QUEUE}-dlq",
    "call_timeout": 10.0,
    "max_retries": 5,
}


@pytest.fixture(autouse=True)
def account(aws: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The account's owner asks, and the queue is as shipped again at the end."""
    for name, text in (CREDENTIALS | {"AWS_ENDPOINT_URL": aws.sqs.url}).items():
        monkeypatch.setenv(name, text)
    shipped = aws.attributes(aws.queue_url)
    yield
    attributes = {"Policy": shipped["Policy"], "KmsMasterKeyId": ""}
    aws.client.set_queue_attributes(QueueUrl=aws.queue_url, Attributes=attributes)


def log_in(aws: Cloud, monkeypatch: pytest.MonkeyPatch, policy: dict[str, Any]) -> None:
    role = aws.role(f"doctor-{uuid.uuid4()}", policy, document("trust-irsa.json"))
    for name, text in aws.login(role).items():
        monkeypatch.setenv(name.upper(), text)


def failed(rows: list[CheckResult]) -> CheckResult:
    [row] = [row for row in rows if row.status == "failure"]
    assert row.advice
    return row


def test_the_queue_the_rule_and_the_policy_are_fine_as_shipped() -> None:
    rows = eventbridge.eventbridge(KNOWN)
    assert [row.status for row in rows] == ["ok", "ok"]
    assert f"the rule {QUEUE} of bus {BUS}" in rows[0].detail


def test_operators_may_look_at_the_rule_with_their_policy(
    aws: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(aws, monkeypatch, document("operators-policy.json"))
    assert [row.status for row in eventbridge.eventbridge(KNOWN)] == ["ok", "ok"]


def test_a_worker_that_may_not_look_at_rules_still_checks_the_queues_policy(
    aws: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(aws, monkeypatch, document("policy.json"))
    rule, policy = eventbridge.eventbridge(KNOWN)
    assert (rule.status, policy.status) == ("unknown", "ok")
    assert "operators-policy.json" in rule.advice


def test_a_missing_rule_is_found(aws: Cloud) -> None:
    events = aws.connect("events")
    [target] = events.list_targets_by_rule(Rule=QUEUE, EventBusName=BUS)["Targets"]
    events.remove_targets(Rule=QUEUE, EventBusName=BUS, Ids=[target["Id"]])
    try:
        row = failed(eventbridge.eventbridge(KNOWN))
    finally:
        events.put_targets(Rule=QUEUE, EventBusName=BUS, Targets=[target])
    assert "no rule sends to the queue" in row.detail


def test_a_disabled_rule_is_found(aws: Cloud) -> None:
    events = aws.connect("events")
    events.disable_rule(Name=QUEUE, EventBusName=BUS)
    try:
        row = failed(eventbridge.eventbridge(KNOWN))
    finally:
        events.enable_rule(Name=QUEUE, EventBusName=BUS)
    assert "is disabled" in row.detail


@pytest.mark.parametrize("policy", ["none", "of another rule"])
def test_a_queue_policy_that_does_not_let_the_rule_send_is_found(aws: Cloud, policy: str) -> None:
    shipped = aws.attributes(aws.queue_url)["Policy"]
    text = "" if policy == "none" else shipped.replace(f"{BUS}/{QUEUE}", f"{BUS}/old")
    aws.client.set_queue_attributes(QueueUrl=aws.queue_url, Attributes={"Policy": text})
    row = failed(eventbridge.eventbridge(KNOWN))
    assert "the queue's policy does not let" in row.detail


@pytest.mark.parametrize(
    ("service", "status"), [("sns.amazonaws.com", "failure"), ("events.amazonaws.com", "ok")]
)
def test_a_key_that_eventbridge_cannot_use_is_found(aws: Cloud, service: str, status: str) -> None:
    kms = aws.connect("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy)
    aws.client.set_queue_attributes(QueueUrl=aws.queue_url, Attributes={"KmsMasterKeyId": key})
    *_, row = eventbridge.eventbridge(KNOWN)
    assert row.status == status
    assert key in row.detail


def test_a_key_whose_policy_cannot_be_read_is_unknown(aws: Cloud) -> None:
    key = {"KmsMasterKeyId": "alias/ours"}
    aws.client.set_queue_attributes(QueueUrl=aws.queue_url, Attributes=key)
    *_, row = eventbridge.eventbridge(KNOWN)
    assert row.status == "unknown"
    assert "kms:GenerateDataKey" in row.advice


def test_awss_own_key_is_found(aws: Cloud) -> None:
    key = {"KmsMasterKeyId": "alias/aws/sqs"}
    aws.client.set_queue_attributes(QueueUrl=aws.queue_url, Attributes=key)
    assert "EventBridge can't send to it" in failed(eventbridge.eventbridge(KNOWN)).detail


def test_rights_that_the_workers_role_lacks_are_found(
    aws: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = {"sqs:ChangeMessageVisibility", "sqs:SendMessage"}
    policy = document("policy.json")
    for statement in policy["Statement"]:
        if isinstance(statement["Action"], list):
            statement["Action"] = [one for one in statement["Action"] if one not in lacking]
    log_in(aws, monkeypatch, policy)
    rows = {row.check: row for row in queue.queue(KNOWN) if row.status == "failure"}
    assert rows.keys() == lacking
    for action, row in rows.items():
        assert f"allow {action} on {QUEUE}" in row.advice
