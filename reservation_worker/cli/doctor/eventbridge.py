"""Can EventBridge deliver to the queue?

A rule must send to the queue, and the queue's policy and its key must let EventBridge do so.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from reservation_worker.cli.doctor import aws_calls
from reservation_worker.cli.doctor.policies import SERVICE, admits, source_arns
from reservation_worker.cli.doctor.result import CheckResult, Known, failure, ok, unknown, warning
from reservation_worker.errors import ConfigurationError
from reservation_worker.sqs import session as aws
from reservation_worker.sqs.identity import QueueIdentity

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_events import EventBridgeClient

NAME = "EventBridge"
SEND = "sqs:SendMessage"
_STACK = "k8s/aws/queues.yaml has it"
_AWS_KEY = "the queue has AWS's own key for SQS (alias/aws/sqs): EventBridge can't send to it"
_OTHER_KEY = "use SSE-SQS, or a key of yours whose policy admits events.amazonaws.com"


class Rule(NamedTuple):
    """A rule that has the queue as a target."""

    arn: str
    bus: str
    enabled: bool


def eventbridge(known: Known) -> list[CheckResult]:
    """The rules that send to the queue, the queue's policy, and the key that encrypts it."""
    url = known["sqs_queue_url"]
    try:
        session = aws_calls.session(known["sqs_region"])
        answer = session.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    except (ConfigurationError, *aws.ERRORS):
        detail = "not checked: the queue's attributes can't be read"
        return [unknown(NAME, detail, "correct the queue's own line first")]
    attributes: dict[Any, str] = answer["Attributes"]
    if row := aws_calls.not_asked(NAME, "EventBridge"):
        return [row]
    arn, policy = attributes.get("QueueArn", ""), attributes.get("Policy", "")
    rows: list[CheckResult] = []
    rules: list[Rule] | None = None
    try:
        rules = list(find_rules(session.client("events"), arn))
        rows += check_rules(url, arn, rules, policy)
    except aws.ERRORS as error:
        rows.append(_unreadable(error))
    if rules != [] or _on_aws(url):
        rows += check_policy(url, policy, rules)
    if key := attributes.get("KmsMasterKeyId"):
        rows.append(_check_key(session, key))
    return rows


def find_rules(events: "EventBridgeClient", queue_arn: str) -> Iterator[Rule]:
    """The rules of every bus of this account and region that send to the queue."""
    for bus in events.list_event_buses(Limit=100)["EventBuses"]:
        name = bus["Name"]
        found = events.list_rule_names_by_target(TargetArn=queue_arn, EventBusName=name)
        for rule_name in found["RuleNames"]:
            rule = events.describe_rule(Name=rule_name, EventBusName=name)
            yield Rule(rule["Arn"], name, rule["State"] != "DISABLED")


def check_rules(url: str, queue_arn: str, rules: list[Rule], policy: str) -> list[CheckResult]:
    """An enabled rule must send to the queue."""
    enabled = [rule for rule in rules if rule.enabled]
    if enabled:
        names = ", ".join(f"{rule.arn.rpartition('/')[2]} of bus {rule.bus}" for rule in enabled)
        return [ok(NAME, f"the queue gets events from the rule {names}")]
    if rules:
        names = ", ".join(rule.arn for rule in rules)
        return [
            _missing(url, f"the rule that sends to the queue is disabled: {names}", "enable it")
        ]
    here = queue_arn.split(":")[3:5]
    for source in source_arns(policy, SEND):
        if source.count(":") > 4 and source.split(":")[3:5] != here:
            detail = f"the queue's policy lets a rule of another account or region send: {source}"
            return [unknown(NAME, detail, "check there that it is enabled")]
    detail = "no rule sends to the queue from any bus of this account and region"
    if _on_aws(url):
        return [failure(NAME, detail, f"create the rule on the producers' bus; {_STACK}")]
    return [warning(NAME, detail, "nothing, if events are sent to the queue itself")]


def check_policy(url: str, policy: str, rules: list[Rule] | None) -> list[CheckResult]:
    """The queue's policy must let each enabled rule send; None: the rules are not known."""
    admitted = source_arns(policy, SEND)
    if not admitted:
        detail = "the queue's policy does not let events.amazonaws.com send: nothing is delivered"
        return [_missing(url, detail, f"allow it sqs:SendMessage in the queue's policy; {_STACK}")]
    refused = [rule.arn for rule in rules or () if rule.enabled and not admits(admitted, rule.arn)]
    if refused:
        detail = (
            f"the queue's policy does not let the rule {', '.join(refused)} send, only"
            f" {', '.join(admitted)}"
        )
        return [_missing(url, detail, "correct aws:SourceArn in the queue's policy")]
    return [ok(NAME, "the queue's policy lets EventBridge send")]


def _missing(url: str, detail: str, advice: str) -> CheckResult:
    """A failure on AWS; an emulator delivers whatever the policy says."""
    return (failure if _on_aws(url) else warning)(NAME, detail, advice)


def _on_aws(url: str) -> bool:
    return QueueIdentity.of_url(url).region is not None


def _unreadable(error: Exception) -> CheckResult:
    if aws_calls.denied(error):
        return unknown(
            NAME,
            f"reading the rules is not allowed: {error}",
            "run doctor with the operators' role (k8s/iam/operators-policy.json); the worker"
            " itself does not need this right",
        )
    return unknown(NAME, f"the rules can't be read: {error}", "see the lines above")


def _check_key(session: "Session", key: str) -> CheckResult:
    if key.endswith("alias/aws/sqs"):
        return failure(NAME, _AWS_KEY, _OTHER_KEY)
    try:
        kms = session.client("kms")
        metadata = kms.describe_key(KeyId=key)["KeyMetadata"]
        if metadata["KeyManager"] == "AWS":
            return failure(NAME, _AWS_KEY, _OTHER_KEY)
        if metadata["KeyState"] != "Enabled":
            return failure(NAME, f"the queue's key {key} is {metadata['KeyState']}", "enable it")
        policy = kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    except aws.ERRORS as error:
        detail = f"the policy of the queue's key {key} can't be read: {error}"
        advice = (
            f"it must allow {SERVICE} and the worker's role kms:Decrypt and kms:GenerateDataKey"
        )
        return unknown(NAME, detail, advice)
    missing = [
        action
        for action in ("kms:GenerateDataKey", "kms:Decrypt")
        if not source_arns(policy, action)
    ]
    if missing:
        detail = (
            f"the policy of the queue's key {key} does not allow {SERVICE} {' and '.join(missing)}"
        )
        return failure(NAME, detail, _OTHER_KEY)
    return ok(NAME, f"the policy of the queue's key {key} lets EventBridge use it")
