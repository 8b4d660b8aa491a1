"""The operator's pod: its account, its rights, and that no selector takes it for a worker."""

import json
from typing import Any

import pytest

from reservation_worker.cli.main import main
from reservation_worker.config.settings import Settings
from tests.deploy.cloud import Cloud, document
from tests.deploy.tools import rendered

WORKER = {"app": "reservation-worker"}


def objects(folder: str) -> dict[str, Any]:
    return {made["kind"]: made for made in rendered(folder)}


@pytest.fixture(scope="module")
def operator() -> dict[str, Any]:
    return objects("operator")


@pytest.fixture(scope="module")
def production() -> dict[str, Any]:
    return objects("production")


def container(pod: dict[str, Any]) -> dict[str, Any]:
    [found] = pod["containers"]
    return dict(found)


def test_it_works_on_production_s_queue_with_production_s_image(
    operator: dict[str, Any], production: dict[str, Any]
) -> None:
    mine = container(operator["Pod"]["spec"])
    worker = container(production["Deployment"]["spec"]["template"]["spec"])
    assert mine["image"] == worker["image"]
    environment = {entry["name"]: entry["value"] for entry in mine["env"]}
    settings = Settings.from_mapping(environment)
    [trigger] = production["ScaledObject"]["spec"]["triggers"]
    assert settings.sqs_queue_url == trigger["metadata"]["queueURL"]


def test_no_selector_of_the_worker_finds_it(
    operator: dict[str, Any], production: dict[str, Any]
) -> None:
    labels = operator["Pod"]["metadata"]["labels"]
    assert not WORKER.items() <= labels.items()
    assert production["Service"]["spec"]["selector"] == WORKER
    [policy] = [operator["NetworkPolicy"]["spec"]]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()


def test_it_conforms_to_the_restricted_standard_and_ends_by_itself(
    operator: dict[str, Any],
) -> None:
    pod = operator["Pod"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(pod)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert container(pod)["command"] == ["sleep", str(pod["activeDeadlineSeconds"])]


def test_its_account_alone_gets_a_role_with_which_every_verb_of_the_desk_works(
    operator: dict[str, Any],
    aws: Cloud,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    account = operator["ServiceAccount"]
    assert operator["Pod"]["spec"]["serviceAccountName"] == account["metadata"]["name"]
    arn = account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
    role = aws.role(
        arn.rpartition("/")[2],
        document("operators-policy.json"),
        document("operators-trust-irsa.json"),
    )
    with pytest.raises(Exception, match="AccessDenied"):
        aws.login(role)
    for name, text in aws.login(role, account["metadata"]["name"]).items():
        monkeypatch.setenv(name.upper(), text)
    monkeypatch.setenv("SQS_QUEUE_URL", aws.queue_url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.sqs.url)
    monkeypatch.setenv("RESERVATION_API_BASE", aws.neighbours.reservation_base)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.chdir(tmp_path)
    for reason in ("retries_exhausted", "compensation_required"):
        attribute = {"DataType": "String", "StringValue": reason}
        body = {"type": "payment.approved", "detail": {"reservation_id": "r"}}
        aws.client.send_message(
            QueueUrl=aws.dlq_url,
            MessageBody=json.dumps(body),
            MessageAttributes={"dlq_reason": attribute},
        )
    for line in (
        "list",
        "compensations",
        "export all.jsonl",
        "resolve closed.jsonl --reason compensation_required --note refunded --yes",
        "redrive --yes",
        "import closed.jsonl",
    ):
        assert main(["dlq", *line.split()]) == 0, capsys.readouterr().err
    assert aws.counts(aws.queue_url)[0] == aws.counts(aws.dlq_url)[0] == 1
