"""KEDA's and the Deployment's manifests."""

import json
from pathlib import Path
from typing import Any

import pytest

from reservation_worker.cli.doctor import manifests
from reservation_worker.cli.doctor.result import CheckResult, CheckStatus
from tests.unit.cli.doctor.settings import KNOWN, PLACEHOLDER, URL, statuses

SCALED: dict[str, Any] = {
    "kind": "ScaledObject",
    "metadata": {"name": "worker"},
    "spec": {
        "scaleTargetRef": {"name": "worker"},
        "triggers": [
            {
                "type": "aws-sqs-queue",
                "authenticationRef": {"name": "aws"},
                "metadata": {"queueURL": URL, "awsRegion": "ap-northeast-2"},
            }
        ],
    },
}


def changed(spec: dict[str, Any] | None = None, **metadata: str | None) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(json.dumps(SCALED))
    made["spec"] |= spec or {}
    given = made["spec"]["triggers"][0]["metadata"] | metadata if made["spec"]["triggers"] else {}
    if given:
        made["spec"]["triggers"][0]["metadata"] = {k: v for k, v in given.items() if v is not None}
    return made


def deployment(limit: str = "512Mi", **container: Any) -> dict[str, Any]:
    box = {"name": "worker", "resources": {"limits": {"memory": limit}}} | container
    template = {"spec": {"containers": [box]}}
    return {"kind": "Deployment", "metadata": {"name": "worker"}, "spec": {"template": template}}


def compared(directory: Path, *documents: Any) -> list[CheckResult]:
    """JSON is YAML."""
    file = directory / "manifests.yaml"
    file.write_text("\n---\n".join(json.dumps(one) for one in documents))
    return manifests.compare([file], KNOWN)


@pytest.mark.parametrize(
    "document",
    [SCALED, {"kind": "List", "items": [SCALED]}, {"kind": "ScaledObjectList", "items": [SCALED]}],
)
def test_a_scaled_object_that_fits_is_fine_alone_or_in_a_list(
    tmp_path: Path, document: dict[str, Any]
) -> None:
    assert statuses(compared(tmp_path, document)) == [CheckStatus.OK] * 2


@pytest.mark.parametrize(
    ("document", "status", "words"),
    [
        (changed(queueURL=URL + "-dlq"), CheckStatus.FAILURE, f"queueURL is {URL}-dlq"),
        (changed(queueURL=URL.replace("1234", "9999")), CheckStatus.FAILURE, "does not scale"),
        (changed(queueURL=PLACEHOLDER), CheckStatus.UNKNOWN, "placeholder of a base"),
        (changed(queueURL=None), CheckStatus.FAILURE, "names no queue"),
        (changed(queueURL="${QUEUE_URL}"), CheckStatus.UNKNOWN, "template"),
        (changed(queueURL=None, queueURLFromEnv="QUEUE"), CheckStatus.UNKNOWN, "comes from QUEUE"),
        (changed(awsRegion=None), CheckStatus.FAILURE, "awsRegion is None"),
        (changed(identityOwner="operator"), CheckStatus.WARNING, "identityOwner is deprecated"),
        (changed(queueLength="0"), CheckStatus.FAILURE, "queueLength is 0"),
        (changed(scaleOnInFlight="false"), CheckStatus.WARNING, "scaleOnInFlight"),
        (changed({"triggers": []}), CheckStatus.FAILURE, "no aws-sqs-queue trigger"),
        (changed({"minReplicaCount": 5, "maxReplicaCount": 2}), CheckStatus.FAILURE, "above"),
        (
            changed({"minReplicaCount": 2, "maxReplicaCount": 2}),
            CheckStatus.WARNING,
            "never scales",
        ),
        (changed({"maxReplicaCount": 0}), CheckStatus.FAILURE, "not valid numbers"),
        (
            SCALED | {"metadata": {"annotations": {"autoscaling.keda.sh/paused": "true"}}},
            CheckStatus.FAILURE,
            "paused",
        ),
    ],
)
def test_every_reason_why_keda_does_not_scale_is_reported(
    tmp_path: Path, document: dict[str, Any], status: CheckStatus, words: str
) -> None:
    [row] = [row for row in compared(tmp_path, document) if row.status is not CheckStatus.OK]
    assert row.status is status
    assert words in row.detail
    assert row.advice


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("sqs.ap-northeast-2.", "ap-northeast-2.queue."),
        ("amazonaws.com", "api.aws"),
        (URL[-1], URL[-1] + "/"),
    ],
)
def test_our_queue_is_recognised_by_another_url(tmp_path: Path, part: str, other: str) -> None:
    spelt = other.join(URL.rsplit(part, 1))
    assert spelt != URL
    assert statuses(compared(tmp_path, changed(queueURL=spelt))) == [CheckStatus.OK] * 2


def test_a_queue_by_its_name_or_from_the_deployments_environment_is_compared(
    tmp_path: Path,
) -> None:
    assert (
        statuses(compared(tmp_path, changed(queueURL="reservation-events"))) == [CheckStatus.OK] * 2
    )
    scaled = changed(queueURL=None, queueURLFromEnv="SQS_QUEUE_URL")
    box = deployment(envFrom=[{"configMapRef": {"name": "env"}}])
    config = {"kind": "ConfigMap", "metadata": {"name": "env"}, "data": {"SQS_QUEUE_URL": URL}}
    assert set(statuses(compared(tmp_path, scaled, box, config))) == {CheckStatus.OK}
    side = {"name": "side", "resources": {"limits": {"memory": "16Mi"}}}
    box["spec"]["template"]["spec"]["containers"].append(side)
    config["data"] = {"SQS_QUEUE_URL": URL + "-old"}
    bad = [
        row for row in compared(tmp_path, scaled, box, config) if row.status is CheckStatus.FAILURE
    ]
    assert [row.check for row in bad] == ["KEDA worker", "Deployment worker"]


def test_the_regions_of_manifests_are_compared_with_the_queue_urls_not_with_a_wrong_sqs_region(
    tmp_path: Path,
) -> None:
    file = tmp_path / "manifests.json"
    environ = {"SQS_QUEUE_URL": URL, "AWS_REGION": "ap-northeast-2"}
    box = deployment(env=[{"name": name, "value": text} for name, text in environ.items()])
    file.write_text(json.dumps({"kind": "List", "items": [SCALED, box]}))
    rows = manifests.compare([file], KNOWN | {"sqs_region": "us-east-1"})
    assert set(statuses(rows)) == {CheckStatus.OK}


def test_a_deployments_memory_limit_is_compared_with_its_own_concurrency(tmp_path: Path) -> None:
    reference = {"configMapKeyRef": {"name": "env", "key": "threads"}}
    box = deployment(
        "256Mi",
        env=[
            {"name": "SQS_QUEUE_URL", "value": URL},
            {"name": "WORKER_CONCURRENCY", "valueFrom": reference},
        ],
    )
    config = {"kind": "ConfigMap", "metadata": {"name": "env"}, "data": {"threads": "500"}}
    _, row = compared(tmp_path, box, config)
    assert row.status is CheckStatus.FAILURE
    assert "256 MiB; 500 threads" in row.detail


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        (
            {"SQS_QUEUE_URL": URL, "AWS_REGION": "us-east-1"},
            CheckStatus.FAILURE,
            "its region is us-east-1",
        ),
        (
            {"SQS_QUEUE_URL": URL, "AWS_REGION": "ap-northeast-2", "SQS_REGION": "us-east-1"},
            CheckStatus.FAILURE,
            "its region is us-east-1",
        ),
        ({"WORKER_CONCURRENCY": "20"}, CheckStatus.UNKNOWN, "do not set its SQS_QUEUE_URL"),
    ],
)
def test_a_deployment_with_another_or_an_unknown_queue_is_reported(
    tmp_path: Path, given: dict[str, str], status: CheckStatus, words: str
) -> None:
    box = deployment(env=[{"name": name, "value": value} for name, value in given.items()])
    [row] = [row for row in compared(tmp_path, box) if row.status is not CheckStatus.OK]
    assert row.status is status
    assert words in row.detail
    assert row.advice


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: {", "is not YAML"),
        ("", "neither a ScaledObject"),
        ("- 1\n- kind: List", "neither a ScaledObject"),
    ],
)
def test_a_file_with_nothing_to_compare_is_reported(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    assert words in " ".join(row.detail for row in manifests.compare([file], KNOWN))


def test_a_file_that_is_not_there_does_not_hide_the_others(tmp_path: Path) -> None:
    there = tmp_path / "there.json"
    there.write_text(json.dumps(SCALED))
    rows = manifests.compare([tmp_path / "missing.yaml", there], KNOWN)
    assert statuses(rows) == [CheckStatus.FAILURE, CheckStatus.OK, CheckStatus.OK]
    assert "missing.yaml can't be read: No such file" in rows[0].detail


@pytest.mark.parametrize("wild", [None, 7, [], "x", {"a": 1}])
def test_a_manifest_of_any_shape_breaks_nothing(tmp_path: Path, wild: Any) -> None:
    spec = {"triggers": [{"type": "aws-sqs-queue", "metadata": wild}], "scaleTargetRef": wild}
    scaled = {"kind": "ScaledObject", "metadata": wild, "spec": spec}
    box = deployment(env=[{"name": "A", "valueFrom": {"configMapKeyRef": wild}}], envFrom=wild)
    config = {"kind": "ConfigMap", "metadata": wild, "data": wild}
    assert compared(tmp_path, scaled, box, config, wild, {"kind": wild})
    assert compared(tmp_path, {"kind": "ScaledObject", "metadata": {"annotations": wild}})


def test_without_a_yaml_parser_it_names_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    [row] = compared(tmp_path, SCALED)
    assert row.status is CheckStatus.UNKNOWN
    assert "pip install pyyaml" in row.advice
