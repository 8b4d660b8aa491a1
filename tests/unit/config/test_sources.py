"""The sources of settings: environment, .env.local and .env."""

import os
import socket
from pathlib import Path

import pytest
from opentelemetry.sdk import environment_variables

from reservation_worker.config.sources import survey
from reservation_worker.errors import ConfigurationError
from tests.unit.config.example import QUEUE


def problems(environ: dict[str, str], directory: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        survey(environ, directory).settings()
    return caught.value.problems


def test_the_environment_wins_over_env_local_which_wins_over_env(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"SQS_QUEUE_URL={QUEUE}\nMAX_RETRIES=1\nLOG_LEVEL=warn\n")
    (tmp_path / ".env.local").write_text("export MAX_RETRIES=2 # more\nLOG_LEVEL='error'\n")
    made = survey({"LOG_LEVEL": "debug"}, tmp_path).settings()
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
    made = survey({"MAX_RETRIES": " ", "SQS_QUEUE_URL": ""}, tmp_path).settings()
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
    assert survey(environ, tmp_path).settings().pod_name == expanded


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
    made = survey({"SQS_QUEUE_URL": QUEUE}, tmp_path).settings()
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
    survey(environ, tmp_path).settings()
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
    assert survey(environ, tmp_path).settings().aws_region == "us-east-1"
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
    assert survey({"SQS_QUEUE_URL": QUEUE}, tmp_path).settings().pod_name == socket.gethostname()
    environ = {"SQS_QUEUE_URL": QUEUE, "HOSTNAME": "pod-1"}
    assert survey(environ, tmp_path).settings().pod_name == "pod-1"


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
