"""The AWS secret above the other sources, from a real Secrets Manager process."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import requests
from moto.server import ThreadedMotoServer

from reservation_worker.config import secret
from reservation_worker.config.settings import Settings
from reservation_worker.config.sources import survey
from reservation_worker.errors import ConfigurationError
from tests.unit.config.example import QUEUE

NAME = "traffictacos/reservation-worker"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(moto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, an AWS without secrets, and an environment that asks for one."""
    requests.post(f"{moto}/moto-api/reset", timeout=5)
    for name in [name for name in os.environ if name.startswith(("AWS_", "OTEL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "ap-northeast-2")
    monkeypatch.setenv("USE_SECRET_MANAGER", "true")
    return tmp_path


def store(secret: object, name: str = NAME) -> None:
    client = boto3.client("secretsmanager", region_name="ap-northeast-2")
    if isinstance(secret, bytes):
        client.create_secret(Name=name, SecretBinary=secret)
    else:
        text = secret if isinstance(secret, str) else json.dumps(secret)
        client.create_secret(Name=name, SecretString=text)


def load(directory: Path) -> Settings:
    return survey(directory=directory).settings()


def secret_problems(directory: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(directory)
    return caught.value.problems


def test_the_secret_wins_over_everything(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQS_QUEUE_URL", "this is wrong, but the secret replaces it")
    monkeypatch.setenv("RESERVATION_API_BASE", "http://from-environment")
    store(
        {
            "sqs_queue_url": QUEUE,
            "inventory_grpc_addr": "inventory:1",
            "otel_endpoint": "https://collector:4317",
            "reservation_api_base": " ",
            "somebody_elses": 7,
        }
    )
    made = load(aws)
    assert made.sqs_queue_url == QUEUE
    assert made.inventory_grpc_addr == "inventory:1"
    assert made.otel_endpoint == "https://collector:4317"
    assert made.otel_insecure is False
    assert made.reservation_api_base == "http://from-environment"
    assert made.source_of("SQS_QUEUE_URL") == "secret"
    assert made.source_of("RESERVATION_API_BASE") == "environment"
    assert "collector" not in repr(made)
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in os.environ


def test_an_option_wins_over_the_secret_too(aws: Path) -> None:
    store({"sqs_queue_url": QUEUE})
    made = survey(os.environ, aws, {"SQS_QUEUE_URL": f"{QUEUE}-2"}).settings()
    assert (made.sqs_queue_url, made.source_of("SQS_QUEUE_URL")) == (f"{QUEUE}-2", "option")


def test_a_wrong_option_is_reported_as_an_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SQS_QUEUE_URL is 'x' in the option"):
        survey({"SQS_QUEUE_URL": QUEUE}, tmp_path, {"SQS_QUEUE_URL": "x"}).settings()


def test_the_secret_is_found_by_the_files_of_the_directory(
    aws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store({"sqs_queue_url": QUEUE}, name="other")
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    monkeypatch.setenv("AWS_PROFILE", "")
    (aws / ".env").write_text(f"AWS_ENDPOINT_URL={endpoint}\nSECRET_NAME=other\n")
    assert load(aws).source_of("SQS_QUEUE_URL") == "secret"


def test_wrong_values_of_all_sources_are_reported_together_with_the_secrets_hidden(
    aws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store({"sqs_queue_url": "hunter2", "inventory_grpc_addr": "hunter2"})
    (aws / ".env").write_text("MAX_RETRIES=x\n")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    found = secret_problems(aws)
    assert [problem.split()[0] for problem in found] == [
        "SQS_QUEUE_URL",
        "MAX_RETRIES",
        "INVENTORY_GRPC_ADDR",
        "LOG_LEVEL",
    ]
    assert "hunter2" not in str(found)


@pytest.mark.parametrize("text", ["hunter2", '["hunter2"]', "null", "{'a': 1}", "[" * 65_536])
def test_a_secret_that_is_not_a_json_object_is_a_problem_and_is_not_shown(
    aws: Path, text: str
) -> None:
    store(text)
    with pytest.raises(ConfigurationError) as caught:
        load(aws)
    [problem] = caught.value.problems
    assert "is not a JSON object" in problem
    assert "hunter2" not in problem
    assert caught.value.__cause__ is None


def test_a_binary_secret_is_a_problem(aws: Path) -> None:
    store(b"hunter2")
    [problem] = secret_problems(aws)
    assert "could not be read (it is binary): store it as text" in problem


def test_secret_values_that_are_not_strings_are_reported_together(aws: Path) -> None:
    store({"sqs_queue_url": ["hunter2"], "otel_endpoint": None})
    queue, endpoint = secret_problems(aws)
    assert queue.startswith(f"The key sqs_queue_url of the secret '{NAME}' is not a string")
    assert endpoint.startswith("The key otel_endpoint of")
    assert "hunter2" not in queue


def test_a_missing_secret_is_reported_with_the_other_problems(
    aws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_NAME", "nowhere")
    monkeypatch.setenv("MAX_RETRIES", "x")
    secret, retries = secret_problems(aws)
    assert "'nowhere' in ap-northeast-2 could not be read" in secret
    assert "ResourceNotFoundException" in secret
    assert "check SECRET_NAME and AWS_REGION" in secret
    assert retries.startswith("MAX_RETRIES")


def test_a_value_that_an_unread_secret_may_replace_is_not_checked(
    aws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQS_QUEUE_URL", QUEUE)
    monkeypatch.setenv("SQS_DLQ_URL", QUEUE)
    monkeypatch.setenv("INVENTORY_GRPC_ADDR", "wrong")
    [problem] = secret_problems(aws)
    assert "could not be read" in problem


def test_a_missing_profile_is_reported(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    [problem] = secret_problems(aws)
    assert "(The config profile (nobody) could not be found): check the AWS credentials" in problem


def test_missing_credentials_are_reported(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    [problem] = secret_problems(aws)
    assert "Unable to locate credentials" in problem


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("AWS_ENDPOINT_URL", "not a url"),
        ("AWS_CA_BUNDLE", "/no/such/file"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such/file"),
    ],
)
def test_a_value_that_boto3_refuses_is_reported_without_a_traceback(
    aws: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/worker")
    if name == "AWS_WEB_IDENTITY_TOKEN_FILE":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    if name == "AWS_CA_BUNDLE":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "https://localhost:1")
    monkeypatch.setenv(name, text)
    [problem] = secret_problems(aws)
    assert "could not be read" in problem


def test_a_password_in_the_endpoint_is_not_shown(
    aws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret, "SECRET_ATTEMPTS", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://user:hunter2@127.0.0.1:1")
    [problem] = secret_problems(aws)
    assert "hunter2" not in problem


def test_a_service_that_never_answers_is_given_up(
    aws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret, "SECRET_TIMEOUT", 0.2)
    tries = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    tries.append(server.accept())
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        port = server.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        [problem] = secret_problems(aws)
        server.shutdown(socket.SHUT_RDWR)
    assert "Read timeout" in problem
    assert len(tries) == 3


def test_the_call_for_the_credentials_is_given_up_too(
    aws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secret, "SECRET_TIMEOUT", 0.2)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    (aws / "token").write_text("token")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/worker")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(aws / "token"))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, never answers
        port = silent.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{port}")
        [problem] = secret_problems(aws)
    assert "Read timeout" in problem


@pytest.mark.parametrize(
    ("name", "text"),
    [("USE_SECRET_MANAGER", "maybe"), ("AWS_REGION", "Seoul!"), ("SECRET_NAME", "a\tb")],
)
def test_a_wrong_setting_for_reading_the_secret_is_reported_and_no_queue_is_missed(
    aws: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    monkeypatch.setenv("MAX_RETRIES", "x")
    unread, *others = secret_problems(aws)
    assert unread.endswith(f"correct {name} first.")
    assert [problem.split()[0] for problem in others] == [name, "MAX_RETRIES"]


def test_a_broken_file_is_reported_before_the_secret_is_read(aws: Path) -> None:
    (aws / ".env").write_text("AWS_PROFILE\n")
    broken, unread = secret_problems(aws)
    assert "line 1 is not NAME=value" in broken
    assert unread.endswith("correct a .env file first.")


def test_the_secret_is_left_alone_unless_asked_for(
    aws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USE_SECRET_MANAGER", "false")
    monkeypatch.setenv("SQS_QUEUE_URL", QUEUE)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert load(aws).source_of("SQS_QUEUE_URL") == "environment"
