"""The usual problems of docs/doctor.md, and each way to have no credentials."""

from pathlib import Path

import pytest

from reservation_worker.cli.doctor import machine
from reservation_worker.simulator.processes.ports import free_port
from reservation_worker.simulator.sqs.emulator import REGION
from tests.acceptance.doctor.processes import Doctor, Report, started
from tests.deploy import tools
from tests.sqs_proxy.process import SqsProxyProcess
from tests.world import World

MIB = 1024 * 1024
WORKS = (
    "ReceiveMessage",
    "DeleteMessage",
    "ChangeMessageVisibility",
    "SendMessage",
)


@pytest.mark.parametrize("action", WORKS)
def test_sqs_access_denied_names_the_action_to_allow(
    doctor: Doctor, proxy: SqsProxyProcess, action: str
):
    proxy.set_faults({"access_denied": {"rate": 1, "actions": [action]}})
    found = doctor(AWS_ENDPOINT_URL=proxy.url)
    assert found.code == 1
    row = found.only("failure")
    assert row["check"] == f"sqs:{action}"
    assert row["detail"].startswith("AccessDenied: ")
    for word in (f"allow sqs:{action} on reservation-events", "AWS_PROFILE", "IRSA"):
        assert word in row["advice"]


def test_permissions_are_probed_even_if_reading_attributes_is_denied(
    doctor: Doctor, proxy: SqsProxyProcess
):
    proxy.set_faults({"access_denied": {"rate": 1, "actions": ["GetQueueAttributes"]}})
    found = doctor(AWS_ENDPOINT_URL=proxy.url)
    row = found.only("failure")
    assert row["check"] == "queue"
    assert "allow sqs:GetQueueAttributes" in row["advice"]
    assert found.of("dead-letter queue")["status"] == "unknown"
    assert found.of("sqs:SendMessage")["status"] == "unknown"
    assert found.of("sqs:ReceiveMessage")["status"] == "ok"


def test_a_grpc_timeout_is_reported_in_the_words_of_the_log(doctor: Doctor, silent: int):
    found = doctor(INVENTORY_GRPC_ADDR=f"127.0.0.1:{silent}", CALL_TIMEOUT="5")
    assert found.code == 1
    row = found.only("failure")
    assert row["check"] == "inventory-svc"
    assert row["detail"].startswith(f"context deadline exceeded: 127.0.0.1:{silent} accepts TCP")
    assert "INVENTORY_GRPC_TLS" in row["advice"]


@pytest.mark.parametrize(
    ("address", "words", "advice"),
    [
        ("127.0.0.1:{port}", "no TCP connection", "nc -vz 127.0.0.1 {port}"),
        ("inventory-svc.invalid:8021", "DNS does not know", "getent hosts inventory-svc.invalid"),
    ],
)
def test_an_unreachable_grpc_server_is_reported_with_the_step_that_failed(
    doctor: Doctor, address: str, words: str, advice: str
):
    port = free_port()
    address = address.format(port=port)
    row = doctor(INVENTORY_GRPC_ADDR=address).only("failure")
    assert row["check"] == "inventory-svc"
    assert row["detail"].startswith(f"failed to connect to {address}: {words}")
    assert advice.format(port=port) in row["advice"]


@pytest.mark.parametrize("file", ["memory.max", "memory/memory.limit_in_bytes"])
def test_a_memory_limit_too_small_for_the_threads_is_reported_before_the_kill(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str
):
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    path = tmp_path / "sys/fs/cgroup" / file
    path.parent.mkdir(parents=True)
    path.write_text(f"{128 * MIB}\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    group = "4:cpu,memory:/kubepods/pod1" if "/" in file else "0::/"
    (tmp_path / "proc/self/cgroup").write_text(f"{group}\n")
    found = doctor(WORKER_CONCURRENCY="100")
    assert found.code == 1
    row = found.only("failure")
    assert row["check"] == "memory"
    assert "the limit is 128 MiB; 100 threads need about 135" in row["detail"]
    assert "OOMKilled" in row["detail"]
    assert "lower WORKER_CONCURRENCY" in row["advice"]
    twenty = {"worker_concurrency": 20}
    assert [row.status for row in machine.memory(twenty)] == ["warning"]
    path.write_text(f"{256 * MIB}\n")
    assert [row.status for row in machine.memory(twenty)] == ["ok"]


SCALED = """\
kind: ConfigMap
metadata: {{name: worker}}
data: {{WORKER_CONCURRENCY: "20"}}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: worker}}
spec:
  scaleTargetRef: {{name: worker}}
  maxReplicaCount: 50
  triggers:
    - type: aws-sqs-queue
      authenticationRef: {{name: aws}}
      metadata: {{queueURL: "{queue}", awsRegion: {region}, queueLength: "20"}}
"""


@pytest.mark.parametrize(
    ("queue", "region", "words"),
    [
        ("{ours}-old", "ap-northeast-2", "it watches another queue, so it does not scale"),
        ("{ours}", "us-east-1", "awsRegion is us-east-1, the worker's queue is in ap-northeast-2"),
    ],
)
def test_a_scaled_object_for_another_queue_is_reported_with_both_urls(
    doctor: Doctor, world: World, tmp_path: Path, queue: str, region: str, words: str
):
    file = tmp_path / "scaledobject.yaml"
    file.write_text(SCALED.format(queue=queue.format(ours=world.queue_url), region=region))
    found = doctor("--manifest", str(file))
    assert found.code == 1
    row = found.only("failure")
    assert row["check"] == "KEDA worker"
    assert words in row["detail"]


def test_productions_manifests_fit_as_the_runbook_pipes_them(
    environ: dict[str, str], tmp_path: Path
):
    manifests = tools.run("kubectl", "kustomize", str(tools.K8S / "deploy/production"))
    queue = f"https://sqs.{REGION}.amazonaws.com/137406935518/traffic-tacos-reservation-events"
    with started(environ, tmp_path, "--manifest", "-", SQS_QUEUE_URL=queue) as process:
        out, _ = process.communicate(manifests, timeout=60)
    found = Report(process.returncode, out)
    assert found.statuses("KEDA reservation-worker-scaler") == ["ok", "ok"]
    assert found.statuses("Deployment reservation-worker") == ["ok", "ok"]
    runbook = " ".join((tools.ROOT / "docs/runbook.md").read_text().split())
    assert "kubectl kustomize k8s/deploy/production | reservation-worker doctor --manifest -" in (
        runbook
    )


WITHOUT_KEYS = {
    "AWS_ACCESS_KEY_ID": "",
    "AWS_SECRET_ACCESS_KEY": "",
    "AWS_CONFIG_FILE": "none",
    "AWS_SHARED_CREDENTIALS_FILE": "none",
}


def test_missing_credentials_are_reported_with_the_ways_to_get_some(doctor: Doctor):
    found = doctor(**WITHOUT_KEYS)
    assert found.code == 1
    assert found.of("credentials")["detail"] == "boto3 finds no AWS credentials"
    assert "IRSA" in found.of("credentials")["advice"]
    assert found.of("queue")["detail"] == "there are no AWS credentials"


def test_a_service_accounts_role_is_recognised(doctor: Doctor, tmp_path: Path):
    (tmp_path / "token").write_text("header.body.signature")
    role = {
        "AWS_ROLE_ARN": "arn:aws:iam::000000000000:role/worker",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
    }
    found = doctor(**WITHOUT_KEYS, **role)
    assert found.of("credentials")["detail"].startswith("web identity (IRSA")
    assert found.of("queue")["status"] == "ok"


def test_a_missing_profile_is_reported(doctor: Doctor):
    found = doctor(AWS_PROFILE="nobody", AWS_CONFIG_FILE="none", AWS_SHARED_CREDENTIALS_FILE="none")
    assert "nobody" in found.of("credentials")["detail"]
    assert found.of("queue")["status"] == "failure"
    assert found.of("inventory-svc")["status"] == "ok"


def test_a_missing_queue_and_a_wrong_region_are_reported(doctor: Doctor):
    url = "https://sqs.eu-west-1.amazonaws.com/000000000000/misspelt"
    region, missing = (row for row in doctor(SQS_QUEUE_URL=url).rows if row["check"] == "queue")
    assert "SQS_QUEUE_URL is in eu-west-1" in region["detail"]
    assert "the queue's URL and AWS_REGION" in missing["advice"]
