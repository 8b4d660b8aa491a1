"""Canaries in every place that holds a secret, and a search of all the worker's output."""

import json
import signal
import sys
from pathlib import Path

import pytest

from reservation_worker.config.variables import VARIABLES
from tests.security.canary import (
    MARK,
    SECRETS,
    Output,
    canary,
    event,
    leaks,
    run_through_every_failure,
    store_secret,
    with_password,
)
from tests.security.lines import read_log
from tests.security.taps import AnyMethod
from tests.unit.cli.test_cli_config import QUEUE
from tests.unit.cli.test_cli_config import worker as run_cli
from tests.unit.clients.http_neighbour import Neighbour, Request
from tests.world import World


@pytest.fixture(scope="module")
def output() -> Output:
    return run_through_every_failure()


def test_the_canaries_were_planted_and_used(output: Output) -> None:
    for name, secret in SECRETS.items():
        assert f"{name}={secret}" in output.environ
    assert output.authorization == {f"Bearer {MARK}-otlp"}
    assert output.letters == 5


def test_warnings_of_libraries_are_in_the_log_and_nowhere_else(output: Output) -> None:
    loggers = {line["logger"] for line in output.log if "logger" in line}
    assert {"opentelemetry.util.re", "opentelemetry.sdk.resources"} <= loggers
    assert output.places["stderr"] == ""


def test_every_failure_occurred_and_was_logged(output: Output) -> None:
    logged = [line["msg"].split(",")[0].split(" is open")[0] for line in output.log]
    for text in (
        "settled",
        "dead-lettered",
        "given back for another try",
        "the breaker of reservation_api",
        "receive failed",
    ):
        assert text in logged
    quoted = next(line for line in output.log if line.get("logger") == "opentelemetry.util.re")
    assert "***" in quoted["msg"]
    assert "handle_payment_approved" in output.places["spans"]
    assert "503" in output.places["pages in an outage"]


@pytest.mark.parametrize(
    "place",
    ["stdout", "stderr", "pages", "pages in an outage", "dead letters", "spans", "command line"],
)
def test_no_canary_leaks(output: Output, place: str) -> None:
    assert place in output.places
    assert leaks(output.places[place]) == []


# AWS refuses a signature and quotes the request it expected, session token included.


def test_a_refused_signature_does_not_bring_the_session_token_into_the_log(world: World) -> None:
    def refuse(request: Request) -> None:
        signed = "\n".join(f"{name.lower()}:{text}" for name, text in request.headers.items())
        body = {
            "__type": "com.amazon.coral.service#InvalidSignatureException",
            "message": "The request signature we calculated does not match the signature you "
            "provided. The Canonical String for this request should have been\n'POST\n/\n\n"
            f"{signed}\n'",
        }
        request.reply(403, json.dumps(body).encode(), Content_Type="application/x-amz-json-1.0")

    with Neighbour() as aws:
        aws.RequestHandlerClass = AnyMethod
        aws.answer = refuse
        # As with IRSA, these credentials are not in the environment.
        worker = world.worker(
            {"AWS_ENDPOINT_URL": aws.base, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        )
        aws_directory = worker.directory / "worker.cwd" / ".aws"
        aws_directory.mkdir(parents=True)
        (aws_directory / "credentials").write_text(
            "[default]\naws_access_key_id = test\n"
            f"aws_secret_access_key = {canary('key')}\naws_session_token = {canary('token')}\n"
        )
        worker.start()
        worker.until(lambda: "receive failed" in worker.stdout.read_text(), 60, "was refused")
        worker.signal(signal.SIGTERM)
        worker.wait(40)
    [sent] = {request.headers["X-Amz-Security-Token"] for request in aws.requests}
    assert sent == canary("token")
    refused = next(x for x in read_log(worker.stdout) if x["msg"].startswith("receive failed"))
    assert "x-amz-security-token:***" in refused["msg"]
    assert leaks(worker.stdout.read_text() + worker.stderr.read_text()) == []


# Bugs of the worker.


@pytest.fixture(scope="module")
def world():
    with World() as made:
        yield made


def run_buggy(world: World, *arguments: str) -> str:
    """The output of a worker whose bug quotes the environment."""
    name = "-".join(["buggy", *arguments])
    worker = world.worker(SECRETS | {"SQS_WAIT_TIME": "1"}, name)
    script = Path(__file__).parent / "buggy_worker.py"
    worker.command = [sys.executable, str(script), *arguments]
    worker.start()
    world.client.send_message(
        QueueUrl=world.queue_url, MessageBody=event("payment.approved", f"rsv_{name}")
    )
    worker.until(lambda: "has a bug" in worker.stdout.read_text(), 60, "run into its bug")
    worker.signal(signal.SIGTERM)
    worker.wait(60)
    read_log(worker.stdout)
    return worker.stdout.read_text() + worker.stderr.read_text()


def test_a_bug_that_quotes_the_whole_environment_leaks_no_secret(world: World) -> None:
    text = run_buggy(world)
    assert "AWS_SESSION_TOKEN" in text
    assert leaks(text) == []


def test_the_search_finds_a_canary_where_the_log_hides_nothing(world: World) -> None:
    assert leaks(run_buggy(world, "unredacted"))


# The command line: settings in force, and configuration errors.


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_config_shows_no_secret(world: World, tmp_path: Path, form: list[str]) -> None:
    name = f"secret-{len(form)}"
    store_secret(
        world, json.dumps({"otel_endpoint": f"{MARK}.example:4317", "token": canary("o")}), name
    )
    (tmp_path / ".env").write_text(f"SQS_QUEUE_URL={with_password(QUEUE, 'env-file')}\n")
    shown = run_cli(
        "config",
        *form,
        cwd=tmp_path,
        **SECRETS,
        AWS_ACCESS_KEY_ID="test",
        USE_SECRET_MANAGER="true",
        SECRET_NAME=name,
        AWS_ENDPOINT_URL=with_password(world.sqs.url, "endpoint"),
        SQS_DLQ_URL=f"{with_password(QUEUE, 'dlq')}-dlq",
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count("***") == 3
    assert leaks(shown.stdout + shown.stderr) == []


def problems(directory: Path, *arguments: str, **environ: str) -> str:
    """The error output of a wrong configuration."""
    ended = run_cli(*arguments, cwd=directory, **environ)
    text = ended.stdout + ended.stderr
    assert ended.returncode == 2, text
    assert "Traceback" not in text
    return text


def test_wrong_urls_are_reported_without_their_passwords(tmp_path: Path) -> None:
    bad = {
        variable.name: f"http://{MARK}-user:{canary('password')}@no such host/?token={MARK}"
        for variable in VARIABLES
        if "url" in variable.parse.__name__ or variable.name.endswith(("ADDR", "ENDPOINT", "BASE"))
    }
    text = problems(tmp_path, **bad)
    assert text.count("***") >= len(bad) >= 2
    assert leaks(text) == []


def test_lines_of_a_file_that_cannot_be_used_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        f"AWS_SESSION_TOKEN {canary('no-equals')}\n"
        f'AWS_SECRET_ACCESS_KEY="{canary("nul")}\\x00"\n'
        f"'{canary('quote')}\n"
    )
    text = problems(tmp_path)
    assert ".env line 1" in text
    assert leaks(text) == []


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_ENDPOINT_URL": f"{MARK}-user:{canary('no-scheme')}@127.0.0.1"},
        {"AWS_ENDPOINT_URL": f"http://{MARK}-user:{canary('blank')}@no host/"},
    ],
    ids=["no scheme", "a blank"],
)
def test_boto3s_error_about_a_value_is_reported_without_its_secrets(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    text = problems(tmp_path, SQS_QUEUE_URL=QUEUE, HOME=str(tmp_path), **environ)
    assert "boto3 can't work with" in text
    assert leaks(text) == []


def test_a_secret_that_cannot_be_used_is_not_shown(world: World, tmp_path: Path) -> None:
    store_secret(world, f"sqs_queue_url={canary('not-json')}", "not-json")
    environ = SECRETS | {"USE_SECRET_MANAGER": "true", "AWS_ACCESS_KEY_ID": "test"}
    endpoint = with_password(world.sqs.url, "endpoint")
    text = problems(tmp_path, **environ, SECRET_NAME="not-json", AWS_ENDPOINT_URL=endpoint)
    assert "is not a JSON object" in text
    assert leaks(text) == []


@pytest.mark.parametrize(
    "url",
    [
        with_password("http://127.0.0.1:9", "endpoint"),
        # Not escaped as it should be: the port is not a number but half of a password.
        f"http://{MARK}-user:{canary('half')}/{canary('rest')}@127.0.0.1:9",
    ],
    ids=["unreachable", "a slash in the password"],
)
def test_an_unreadable_secret_is_reported_without_the_endpoints_password(
    tmp_path: Path, url: str
) -> None:
    environ = SECRETS | {"USE_SECRET_MANAGER": "true", "AWS_ACCESS_KEY_ID": "test"}
    text = problems(tmp_path, **environ, AWS_ENDPOINT_URL=url)
    assert "could not be read" in text
    assert leaks(text) == []
