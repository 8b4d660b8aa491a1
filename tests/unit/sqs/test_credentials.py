"""Which errors are those of credentials; and a credential_process that hangs is ended."""

import json
import os
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    MetadataRetrievalError,
    NoCredentialsError,
    SSOTokenLoadError,
)

from reservation_worker.config.secret import read_secret
from reservation_worker.errors import ConfigurationError, SqsError
from reservation_worker.sqs import credentials
from reservation_worker.sqs.credentials import CredentialProcess, of_credentials
from reservation_worker.sqs.queue import SqsQueue
from reservation_worker.sqs.session import explained, session
from tests.fake_queue import PATIENCE, eventually
from tests.sqs_server import REGION, SqsServer


def refused(code: str, message: str = "", operation: str = "ReceiveMessage") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize(
    "error",
    [
        refused("ExpiredToken"),
        refused("ExpiredTokenException"),
        refused("InvalidClientTokenId"),
        refused("UnrecognizedClientException"),
        refused("SignatureDoesNotMatch"),
        refused("InvalidSignatureException"),
        refused("AccessDenied", "The security token included in the request is expired"),
        refused("AccessDenied", "not authorized", "AssumeRoleWithWebIdentity"),
        NoCredentialsError(),
        CredentialRetrievalError(provider="p", error_msg="m"),
        MetadataRetrievalError(error_msg="m"),
        SSOTokenLoadError(error_msg="m"),
        RuntimeError("Credentials were refreshed, but they are still expired."),
    ],
    ids=str,
)
def test_credentials_that_are_missing_expired_or_refused_are_known(error: Exception) -> None:
    assert of_credentials(error)


@pytest.mark.parametrize(
    "error",
    [
        refused("AccessDenied", "no identity-based policy allows the sqs:DeleteMessage action"),
        refused("AWS.SimpleQueueService.NonExistentQueue"),
        refused("ServiceUnavailable"),
        refused("ThrottlingException"),
        EndpointConnectionError(endpoint_url="http://x"),
        BotoCoreError(),
        OSError("x"),
    ],
    ids=str,
)
def test_other_errors_are_not(error: Exception) -> None:
    assert not of_credentials(error)


# With a real session, on an SQS that knows keys.


@pytest.fixture
def web_identity(server: SqsServer, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials by a service account's token, from an STS behind a proxy that answers HTML."""
    (home / "token").write_text("a projected token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(home / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/worker")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    server.page = b"<html>blocked<br></html>"


@pytest.mark.usefixtures("web_identity")
def test_an_answer_that_is_not_of_aws_is_an_error_of_sqs(server: SqsServer) -> None:
    with pytest.raises(SqsError, match="Unable to parse response"):
        connect(server).receive(1, 0)


@pytest.mark.usefixtures("web_identity")
def test_an_answer_that_is_not_of_aws_is_a_problem_of_the_secret() -> None:
    parsed = {"secret_name": "s", "aws_region": REGION}
    with pytest.raises(ConfigurationError, match="could not be read"):
        read_secret(parsed, {}, False)


@pytest.fixture
def server() -> Iterator[SqsServer]:
    with SqsServer() as made:
        yield made


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Only what a test puts into `config` and `credentials` of this directory counts."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


def connect(server: SqsServer) -> SqsQueue:
    return SqsQueue(server.url("queue"), REGION, 0, 2, endpoint_url=server.endpoint)


def keys(home: Path, key: str) -> None:
    text = f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n"
    (home / "credentials").write_text(text)


ASSUMED = "[default]\nrole_arn = arn:aws:iam::123456789012:role/worker\nsource_profile = base\n"


def process(home: Path, script: str, *, assumed: bool = False) -> None:
    """A credential_process, a script of the shell: the default profile's, or its source_profile's.

    `assumed`: the default profile assumes a role from the source_profile's credentials.
    """
    path = home / "process.sh"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    section = f"{ASSUMED}[profile base]" if assumed else "[default]"
    (home / "config").write_text(f"{section}\ncredential_process = {path}\n")


def alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_keys_that_are_replaced_on_disk_are_used_at_once(server: SqsServer, home: Path) -> None:
    keys(home, "OLD")
    queue = connect(server)
    assert queue.receive(1, 0) == []
    server.refused_keys["OLD"] = "ExpiredToken"
    keys(home, "NEW")
    assert queue.receive(1, 0) == []
    assert [key for _, key in server.calls] == ["OLD", "OLD", "NEW"]
    queue.close()


def test_keys_that_come_after_the_start_are_used(server: SqsServer, home: Path) -> None:
    queue = connect(server)
    keys(home, "LATE")
    assert queue.receive(1, 0) == []
    assert server.calls == [("ReceiveMessage", "LATE")]
    queue.close()


def test_a_process_that_fails_at_the_start_does_not_keep_the_worker_from_starting(
    server: SqsServer, home: Path
) -> None:
    process(home, "echo not yet >&2; exit 1")
    queue = connect(server)
    with pytest.raises(SqsError, match="not yet"):
        queue.receive(1, 0)
    queue.close()


@pytest.mark.parametrize("answer", ["[]", "null", '{"Version": 1}'])
def test_a_process_that_answers_in_another_form_does_not_keep_the_worker_from_starting(
    server: SqsServer, home: Path, answer: str
) -> None:
    process(home, f"echo '{answer}'")
    queue = connect(server)
    with pytest.raises(SqsError, match=r"credentials"):
        queue.receive(1, 0)
    queue.close()


def test_a_process_that_answers_in_another_form_is_a_configuration_error_of_a_verb(
    home: Path,
) -> None:
    process(home, "echo '[]'")
    with pytest.raises(ConfigurationError, match="answered in another form"), explained():
        session(REGION, Config()).client("sqs")
    with pytest.raises(ConfigurationError, match="answered in another form"):
        read_secret({"secret_name": "s", "aws_region": REGION}, {}, False, unattended=True)


def test_credentials_of_another_form_at_a_refresh_fail_the_call_alone(
    server: SqsServer, home: Path
) -> None:
    process(home, f"""cat {home}/answer""")
    soon = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    keys = {"Version": 1, "AccessKeyId": "MADE", "SecretAccessKey": "s", "Expiration": soon}
    (home / "answer").write_text(json.dumps(keys))
    queue = connect(server)
    (home / "answer").write_text("[]")
    with pytest.raises(SqsError, match="credentials"):
        queue.receive(1, 0)
    (home / "answer").write_text(json.dumps(keys | {"Expiration": "2999-01-01T00:00:00Z"}))
    assert queue.receive(1, 0) == []
    queue.close()


def test_keys_of_a_process_are_used(server: SqsServer, home: Path) -> None:
    process(home, """echo '{"Version": 1, "AccessKeyId": "MADE", "SecretAccessKey": "s"}'""")
    queue = connect(server)
    assert queue.receive(1, 0) == []
    assert server.calls == [("ReceiveMessage", "MADE")]
    queue.close()


HANGS = "sleep 600 & echo $$ $! > {home}/new; mv {home}/new {home}/pids; wait"


def assert_ended(home: Path) -> None:
    """The process that hangs and its child end, if they have not ended yet."""
    pids = [int(pid) for pid in (home / "pids").read_text().split()]
    eventually(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize("assumed", [False, True])
def test_a_process_that_hangs_is_ended_in_time_with_its_children(
    server: SqsServer, home: Path, monkeypatch: pytest.MonkeyPatch, assumed: bool
) -> None:
    monkeypatch.setattr(credentials, "PATIENCE", 0.5)
    process(home, HANGS.format(home=home), assumed=assumed)
    queue = connect(server)
    assert_ended(home)
    with pytest.raises(SqsError, match="gave no answer within"):
        queue.receive(1, 0)
    assert not CredentialProcess.running
    queue.close()


@pytest.mark.parametrize("assumed", [False, True])
def test_a_process_that_hangs_is_ended_by_the_close_with_its_children(
    server: SqsServer, home: Path, monkeypatch: pytest.MonkeyPatch, assumed: bool
) -> None:
    monkeypatch.setattr(credentials, "PATIENCE", 600)
    keys(home, "OLD")
    queue = connect(server)
    server.refused_keys["OLD"] = "ExpiredToken"
    (home / "credentials").unlink()
    process(home, HANGS.format(home=home), assumed=assumed)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(queue.receive, 1, 0)
        eventually((home / "pids").exists)
        assert not call.done()
        queue.close()
        with pytest.raises(SqsError):
            call.result(PATIENCE)
    assert_ended(home)


def test_a_process_that_hangs_is_ended_while_the_secret_is_read(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "PATIENCE", 0.5)
    process(home, HANGS.format(home=home))
    with pytest.raises(ConfigurationError, match="gave no answer within"):
        read_secret({"secret_name": "s", "aws_region": REGION}, {}, False, unattended=True)
    assert_ended(home)


def test_a_process_that_is_just_starting_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    started, go_on = threading.Event(), threading.Event()
    popen = subprocess.Popen.__init__

    def slow(self: Any, *args: Any, **options: Any) -> None:
        popen(self, *args, **options)
        started.set()
        go_on.wait(PATIENCE)

    monkeypatch.setattr(subprocess.Popen, "__init__", slow)
    with ThreadPoolExecutor(2) as pool:
        starting = pool.submit(CredentialProcess, ["sleep", "600"])
        assert started.wait(PATIENCE)
        ending = pool.submit(CredentialProcess.end_all)
        wait([ending], timeout=0.2)  # it waits for the start, or misses the process
        go_on.set()
        process = starting.result()
        process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGKILL
    assert not CredentialProcess.running
