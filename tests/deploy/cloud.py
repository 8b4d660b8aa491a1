"""An AWS account on loopback that enforces IAM policies and records its calls."""

import base64
import itertools
import json
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION
from tests.deploy.tools import K8S
from tests.world import World

ACCOUNT = "137406935518"
BUS = "traffic-tacos"
ISSUER = "oidc.eks.ap-northeast-2.amazonaws.com/id/CLUSTER_OIDC_ID"


class Cloud(World):
    """The world with the shipped queues, bus and rule."""

    def connect(self, service: str, **keys: str) -> Any:
        """A client of any service, as the account's owner unless `keys` are given."""
        owner = {name.lower(): text for name, text in CREDENTIALS.items()}
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.sqs.url,
            region_name=REGION,
            **(keys or owner),
        )

    def create_stack(self) -> None:
        """Create the stack of k8s/aws/queues.yaml and use its queue from now on."""
        self.connect("events").create_event_bus(Name=BUS)
        formation = self.connect("cloudformation")
        template = (K8S / "aws" / "queues.yaml").read_text()
        # The emulator speaks plain HTTP, so it would refuse the tests as well.
        tls_only = 'aws:SecureTransport: "false"'
        assert template.count(tls_only) == 2
        template = template.replace(tls_only, 'aws:SecureTransport: "neither"')
        formation.create_stack(StackName="queues", TemplateBody=template)
        formation.get_waiter("stack_create_complete").wait(
            StackName="queues", WaiterConfig={"Delay": 1, "MaxAttempts": 20}
        )
        [stack] = formation.describe_stacks(StackName="queues")["Stacks"]
        outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
        self.queue_url, self.dlq_url = outputs["QueueUrl"], outputs["DeadLettersUrl"]

    def attributes(self, url: str) -> dict[str, str]:
        """Every attribute of a queue."""
        found: dict[str, str] = self.client.get_queue_attributes(
            QueueUrl=url, AttributeNames=["All"]
        )["Attributes"]
        return found

    def role(self, name: str, policy: dict[str, Any], trust: dict[str, Any]) -> str:
        """The ARN of a new role with `policy`."""
        iam = self.connect("iam")
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))[
            "Role"
        ]["Arn"]
        # AWS checks sqs:DeleteMessage for DeleteMessageBatch, and so on. The emulator checks a
        # right that is named after the batch.
        statements = [
            {"Effect": "Allow", "Action": [action, f"{action}Batch"], "Resource": resource}
            for action, resource in granted(policy)
        ]
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=document)
        return arn

    def login(self, role: str, account: str = "reservation-worker-sa") -> dict[str, str]:
        """The keys that a pod of service account `account` gets for `role`."""
        keys = self.connect("sts").assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="test", WebIdentityToken=token(account)
        )["Credentials"]
        return {
            "aws_access_key_id": keys["AccessKeyId"],
            "aws_secret_access_key": keys["SecretAccessKey"],
            "aws_session_token": keys["SessionToken"],
        }

    def called(self, action: str, *keys: str) -> list[dict[str, str]]:
        """The parameters of the calls that used the right `action`, made with these access keys."""
        service, _, name = action.partition(":")
        found = []
        # Calls whose name is in the body (SNS) are recorded under the last of these names.
        for event, key in itertools.product((name, f"{name}Batch", f"POST.{service}"), keys):
            for one in self._recorded(EventName=event, AccessKeyId=key):
                parameters = json.loads(one["CloudTrailEvent"])["requestParameters"]
                if parameters.get("Action", event) in {name, f"{name}Batch"}:
                    found.append(parameters)
        return found

    def callers(self, *events: str) -> set[str]:
        """The access keys, other than the owner's, with which such calls were made."""
        owner = CREDENTIALS["AWS_ACCESS_KEY_ID"]
        found = (self._recorded(EventName=event) for event in events)
        return {one["AccessKeyId"] for one in itertools.chain(*found)} - {owner}

    def _recorded(self, **wanted: str) -> list[dict[str, Any]]:
        asked = [{"AttributeKey": key, "AttributeValue": text} for key, text in wanted.items()]
        trail = self.connect("cloudtrail")
        found: list[dict[str, Any]] = trail.lookup_events(LookupAttributes=asked)["Events"]
        return found


def granted(policy: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every action with each resource that it is allowed on."""
    for statement in policy["Statement"]:
        actions, resources = statement["Action"], statement["Resource"]
        for action in [actions] if isinstance(actions, str) else actions:
            for arn in [resources] if isinstance(resources, str) else resources:
                yield action, arn


def token(account: str) -> str:
    """The token that Kubernetes projects into a pod of this service account, unsigned."""

    def part(content: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    claims = {
        "iss": f"https://{ISSUER}",
        "aud": "sts.amazonaws.com",
        "sub": f"system:serviceaccount:traffic-tacos:{account}",
        "exp": int(time.time()) + 3600,
    }
    return f"{part({'alg': 'RS256'})}.{part(claims)}.{part({})}"


@contextmanager
def cloud(patch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A cloud with its stack created."""
    switches = f"AUTH=true CLOUDTRAIL_RECORDING=1 MINISTACK_ACCOUNT_ID={ACCOUNT}"
    python = shlex.quote(sys.executable)
    patch.setenv("MINISTACK_COMMAND", f"/usr/bin/env {switches} {python} -m ministack")
    with Cloud() as made:
        made.create_stack()
        yield made


def document(name: str) -> dict[str, Any]:
    """The content of a file of k8s/iam."""
    found: dict[str, Any] = json.loads(Path(K8S, "iam", name).read_text())
    return found
