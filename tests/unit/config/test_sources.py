"""The sources of the settings: a real environment, both files and the secret."""

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
from opentelemetry.sdk import environment_variables

from reservation_worker.config import secret
from reservation_worker.config.settings import Settings
from reservation_worker.config.sources import load_settings, survey
from reservation_worker.errors import ConfigurationError

QUEUE = "https://sqs.ap-northeast-2.amazonaws.com/123456789012/reservation-events"
NAME = "traffictacos/reservation-worker"


def problems(environ: dict[str, str], directory: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ, directory)
    return caught.value.problems


def test_the_environment_wins_over_env_local_which_wins_over_env(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"SQS_QUEUE_URL={QUEUE}\nMAX_RETRIES=1\nLOG_LEVEL=warn\n")
    (tmp_path / ".env.local").write_text("export MAX_RETRIES=2 # more\nLOG_LEVEL='error'\n")
    made = load_settings({"LOG_LEVEL": "debug"}, tmp_path)
    assert (made.sqs_queue_url, made.max_retries, made.log_level) == (QUEUE, 2, "debug")
    names = ("SQS_QUEUE_URL", "MAX_RETRIES", "LOG_LEVEL", "SQS_REGION")
    assert [made.source_of(name) for name in names] == [
        ".env",
        ".env.local",
        "environment",
        "default",
    ]


def test_an_empty_value_lets_the_lower_source_show_through(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"SQS_QUEUE_URL={QUEUE}\nMAX_RETRIES=1\n")
    (tmp_path / ".env.local").write_text("MAX_RETRIES=\nSQS_QUEUE_URL='  '\n")
    made = load_settings({"MAX_RETRIES": " ", "SQS_QUEUE_URL": ""}, tmp_path)
    assert (made.max_retries, made.sqs_queue_url) == (1, QUEUE)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("a-${HOME}", "a-/home/me"),
        ("a-${BASE}", "a-base"),
        ("'a-${BASE}'", "a-base"),
        ("${BASE}${BASE}-${NOBODY:-x}", "basebase-x"),
        ("a-${NOBODY}-b", "a--b"),
        ("a-$HOME", "a-$HOME"),
        ("${MAX_RETRIES}", "7"),
        ("${LOWER}", "lower"),
    ],
)
def test_a_name_in_braces_is_expanded_as_python_dotenv_does_it(
    tmp_path: Path, text: str, expanded: str
) -> None:
    (tmp_path / ".env").write_text("LOWER=lower\nBASE=other\n")
    (tmp_path / ".env.local").write_text(f"BASE=base\nMAX_RETRIES=1\nPOD_NAME={text}\n")
    environ = {"SQS_QUEUE_URL": QUEUE, "HOME": "/home/me", "MAX_RETRIES": "7"}
    assert load_settings(environ, tmp_path).pod_name == expanded


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("WORKER_CONCURENCY", "WORKER_CONCURRENCY"),
        ("SQS_QUEUE", "SQS_QUEUE_URL"),
        ("INVENTORY_GRPC_ADDRESS", "INVENTORY_GRPC_ADDR"),
        ("max_retries", "MAX_RETRIES"),
        ("AWS_REGON", "AWS_REGION"),
        ("OTEL_EXPORTER_OTLP_ENDPONT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ],
)
@pytest.mark.parametrize("file", [".env", ".env.local"])
def test_a_misspelt_name_in_a_file_is_warned_about(
    tmp_path: Path, file: str, name: str, meant: str
) -> None:
    (tmp_path / file).write_text(f"{name}=x\n")
    [warning] = survey({"SQS_QUEUE_URL": QUEUE}, tmp_path).warnings
    assert warning == f"{name} in {file} is not read: did you mean {meant}?"


@pytest.mark.parametrize(
    "name",
    [
        *(name for name in dir(environment_variables) if name.startswith("OTEL_")),
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_SQS",
        "AWS_ROLE_ARN",
        "AWS_CA_BUNDLE",
        "SSL_CERT_DIR",
        "PYTHONUNBUFFERED",
        "COMPOSE_PROFILES",
        "HOSTNAME",
        "PATH",
    ],
)
def test_another_programs_name_in_a_file_is_not_warned_about(tmp_path: Path, name: str) -> None:
    (tmp_path / ".env").write_text(f"{name}=1\n")
    assert survey({"SQS_QUEUE_URL": QUEUE}, tmp_path).warnings == []


def test_a_similar_name_in_the_process_environment_is_not_warned_about(tmp_path: Path) -> None:
    environ = {"SQS_QUEUE_URL": QUEUE, "SQS_QUEUE": "x"}
    assert survey(environ, tmp_path).warnings == []


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfMAX_RETRIES=1\r\nLOG_LEVEL=warn\r\n")
    made = load_settings({"SQS_QUEUE_URL": QUEUE}, tmp_path)
    assert (made.max_retries, made.log_level) == (1, "warn")


def test_a_line_that_cannot_be_read_is_named_but_not_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        'MAX_RETRIES=x\n\n\nMY_PASSWORD hunter2\n\n"hunter2\nSQS_QUEUE_URL\n'
    )
    found = problems({}, tmp_path)
    assert [p.split(" is ")[0] for p in found[:3]] == [
        f"{tmp_path}/.env line {line}" for line in (4, 6, 7)
    ]
    # The readable lines of the file are still checked.
    assert [p.split(" is ")[0] for p in found[3:]] == ["SQS_QUEUE_URL", "MAX_RETRIES"]
    assert "hunter2" not in str(found)


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"POD_NAME=caf\xe9\n")
    [problem] = problems({"SQS_QUEUE_URL": QUEUE}, tmp_path)
    assert problem == f"{tmp_path}/.env is not UTF-8 text (byte 13): save it as UTF-8."


def test_a_file_that_cannot_be_read_is_named_with_the_other_problems(tmp_path: Path) -> None:
    (tmp_path / ".env.local").mkdir()
    unreadable, retries = problems({"SQS_QUEUE_URL": QUEUE, "MAX_RETRIES": "x"}, tmp_path)
    assert unreadable.startswith(f"{tmp_path}/.env.local cannot be read (Is a directory)")
    assert retries.startswith("MAX_RETRIES")


def test_aws_and_otel_variables_of_the_files_reach_the_sdks(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "AWS_PROFILE=dev\nAWS_REGION=us-east-1\nOTEL_SERVICE_NAME=w\nMAX_RETRIES=1\n"
    )
    environ = {"SQS_QUEUE_URL": QUEUE, "AWS_REGION": "eu-west-1"}
    load_settings(environ, tmp_path)
    assert environ == {
        "SQS_QUEUE_URL": QUEUE,
        "AWS_REGION": "eu-west-1",
        "AWS_PROFILE": "dev",
        "OTEL_SERVICE_NAME": "w",
    }


def test_empty_aws_and_otel_variables_leave_the_environment(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AWS_PROFILE=\nAWS_REGION=us-east-1\n")
    environ = {
        "SQS_QUEUE_URL": QUEUE,
        "AWS_PROFILE": "",
        "AWS_REGION": " ",
        "OTEL_TRACES_SAMPLER": "",
        "AWS_ROLE_ARN": "arn:x\n",
        "OTHER": "",
    }
    assert load_settings(environ, tmp_path).aws_region == "us-east-1"
    assert environ == {
        "SQS_QUEUE_URL": QUEUE,
        "AWS_REGION": "us-east-1",
        "AWS_ROLE_ARN": "arn:x",
        "OTHER": "",
    }


def test_a_file_value_that_no_environment_can_hold_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SQS_QUEUE_URL", QUEUE)
    (tmp_path / ".env").write_bytes(b"OTEL_SERVICE_NAME=a\x00b\n")
    [problem] = problems(os.environ, tmp_path)  # type: ignore[arg-type]
    assert "'OTEL_SERVICE_NAME' in .env cannot be an environment variable" in problem


def test_the_pod_is_named_by_this_machine_and_not_by_a_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HOSTNAME=elsewhere\n")
    assert load_settings({"SQS_QUEUE_URL": QUEUE}, tmp_path).pod_name == socket.gethostname()
    environ = {"SQS_QUEUE_URL": QUEUE, "HOSTNAME": "pod-1"}
    assert load_settings(environ, tmp_path).pod_name == "pod-1"


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
    return load_settings(directory=directory)


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
    made = load_settings(os.environ, aws, {"SQS_QUEUE_URL": f"{QUEUE}-2"})
    assert (made.sqs_queue_url, made.source_of("SQS_QUEUE_URL")) == (f"{QUEUE}-2", "option")


def test_a_wrong_option_is_reported_as_an_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="SQS_QUEUE_URL is 'x' in the option"):
        load_settings({"SQS_QUEUE_URL": QUEUE}, tmp_path, {"SQS_QUEUE_URL": "x"})


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


def test_valid_settings_are_available_although_others_are_wrong(tmp_path: Path) -> None:
    environ = {"SQS_QUEUE_URL": QUEUE, "MAX_RETRIES": "x", "CALL_TIMEOUT": "3"}
    found = survey(environ, tmp_path)
    assert [problem.split()[0] for problem in found.problems] == ["MAX_RETRIES"]
    assert "max_retries" not in found.known
    assert (found.known["sqs_queue_url"], found.known["call_timeout"]) == (QUEUE, 3.0)


def test_a_setting_that_an_unread_secret_may_set_is_unknown(tmp_path: Path) -> None:
    environ = {"SQS_QUEUE_URL": QUEUE, "USE_SECRET_MANAGER": "maybe", "CALL_TIMEOUT": "3"}
    found = survey(environ, tmp_path)
    assert found.known["call_timeout"] == 3.0
    hidden = {"sqs_queue_url", "inventory_grpc_addr", "reservation_api_base", "otel_endpoint"}
    assert not hidden & found.known.keys()
