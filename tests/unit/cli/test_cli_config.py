"""The command line from outside: a real process, its exit code and its two outputs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reservation_worker import __version__
from reservation_worker.cli import main as cli
from reservation_worker.cli.config import markdown
from reservation_worker.config.variables import VARIABLES
from tests.modules import modules_loaded

QUEUE = "https://sqs.ap-northeast-2.amazonaws.com/123456789012/reservation-events"
ROOT = Path(__file__).parents[3]


def worker(
    *arguments: str, cwd: Path, stdout: int = subprocess.PIPE, **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reservation_worker", *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ},
        stdout=stdout,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        timeout=60,
        check=False,
    )


def test_config_shows_each_value_and_where_it_was_set(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MAX_RETRIES=7\n")
    (tmp_path / ".env.local").write_text("RESERVATION_API_BASE=http://localhost:9/\n")
    done = worker("config", cwd=tmp_path, SQS_QUEUE_URL=QUEUE)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["NAME", "VALUE", "SOURCE"]
    assert [row[0] for row in rows[1:]] == [variable.name for variable in VARIABLES]
    assert ["SQS_QUEUE_URL", QUEUE, "environment"] in rows
    assert ["MAX_RETRIES", "7", ".env"] in rows
    assert ["RESERVATION_API_BASE", "http://localhost:9", ".env.local"] in rows
    assert ["AWS_PROFILE", "-", "default"] in rows
    assert len({line.rindex("  ") for line in done.stdout.splitlines()}) == 1


def test_config_as_json_is_for_machines(tmp_path: Path) -> None:
    done = worker("config", "--json", cwd=tmp_path, SQS_QUEUE_URL=QUEUE)
    shown = json.loads(done.stdout)
    assert list(shown) == [variable.name for variable in VARIABLES]
    assert shown["SQS_QUEUE_URL"] == {"value": QUEUE, "source": "environment"}
    assert shown["SQS_DLQ_URL"] == {"value": None, "source": "default"}


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_config_hides_passwords(tmp_path: Path, form: list[str]) -> None:
    url = QUEUE.replace("://", "://user:hunter2@")
    done = worker("config", *form, cwd=tmp_path, SQS_QUEUE_URL=url)
    assert done.returncode == 0
    assert "hunter2" not in done.stdout
    assert "https://***@sqs." in done.stdout


@pytest.mark.parametrize("verb", [["config"], ["config", "--json"], ["run"], []])
def test_wrong_configuration_is_a_list_of_all_problems_and_exit_2(
    tmp_path: Path, verb: list[str]
) -> None:
    done = worker(*verb, cwd=tmp_path, MAX_RETRIES="x", SERVER_PORT="8041")
    assert done.returncode == 2
    assert done.stdout == ""
    head, *problems = done.stderr.splitlines()
    assert head == "reservation-worker: 3 configuration problems"
    assert [re.sub(r" .*", "", problem[4:]) for problem in problems] == [
        "SQS_QUEUE_URL",
        "MAX_RETRIES",
        "SERVER_PORT",
    ]
    assert all(problem.startswith("  - ") for problem in problems)


def test_a_broken_file_is_one_problem_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff")
    done = worker("config", cwd=tmp_path, SQS_QUEUE_URL=QUEUE)
    assert done.returncode == 2
    assert done.stderr == (
        "reservation-worker: 1 configuration problem\n"
        "  - .env is not UTF-8 text (byte 1): save it as UTF-8.\n"
    )


def test_an_unreadable_secret_is_reported_with_the_reason_and_exits_2(tmp_path: Path) -> None:
    done = worker(
        "config",
        cwd=tmp_path,
        USE_SECRET_MANAGER="true",
        AWS_EC2_METADATA_DISABLED="true",
        AWS_CONFIG_FILE="none",
        AWS_SHARED_CREDENTIALS_FILE="none",
    )
    assert done.returncode == 2
    assert "(Unable to locate credentials): check the AWS credentials" in done.stderr
    assert "SQS_QUEUE_URL" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("form", "start"), [("--example", "# Copy to .env"), ("--markdown", "| Variable | Default |")]
)
def test_the_variables_can_be_listed_without_a_configuration(
    tmp_path: Path, form: str, start: str
) -> None:
    done = worker("config", form, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(start)


def test_version_and_help_need_no_configuration(tmp_path: Path) -> None:
    assert worker("--version", cwd=tmp_path).stdout == f"reservation-worker {__version__}\n"
    done = worker("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert ".env.local" in done.stdout
    for verb in cli.VERBS:
        assert re.search(rf"^ +{verb.NAME} ", done.stdout, re.M)


@pytest.mark.parametrize("arguments", [["dance"], ["config", "--yaml"], ["--json"]])
def test_wrong_usage_exits_2(tmp_path: Path, arguments: list[str]) -> None:
    done = worker(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: reservation-worker")


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    loaded = modules_loaded("--help", cwd=tmp_path)
    assert "argparse" in loaded
    assert not loaded & {
        "boto3",
        "botocore",
        "dotenv",
        "flask",
        "grpc",
        "opentelemetry",
        "reservation_worker.bootstrap",
        "reservation_worker.config.settings",
        "rich",
    }


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["config"], ["config", "--example"], ["--version"]])
def test_a_closed_pipe_is_not_reported_as_an_error(
    tmp_path: Path, arguments: list[str], unbuffered: str
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = worker(
            *arguments,
            cwd=tmp_path,
            stdout=writer,
            SQS_QUEUE_URL=QUEUE,
            PYTHONUNBUFFERED=unbuffered,
        )
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert done.returncode in (0, 1)  # argparse itself ignores that its text was not read


def test_a_broken_pipe_that_is_not_stdout_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> int:
        raise BrokenPipeError("a socket")

    monkeypatch.setattr("reservation_worker.cli.run.run", broken)
    monkeypatch.setattr(cli, "_reader_is_gone", lambda: False)
    with pytest.raises(BrokenPipeError, match="a socket"):
        cli.main([])


def test_an_interrupt_is_exit_130_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("reservation_worker.cli.run.run", interrupted)
    assert cli.main(["run"]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("arguments", [[], ["run"]])
def test_run_is_the_default_verb_and_its_exit_code_is_returned(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr("reservation_worker.cli.run.run", lambda _: 7)
    assert cli.main(arguments) == 7


@pytest.mark.parametrize(
    "environ",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
)
def test_an_ascii_stdout_gets_utf_8(tmp_path: Path, environ: dict[str, str]) -> None:
    (tmp_path / ".env").write_text("POD_NAME=홍길동\n", "utf-8")
    done = worker("config", cwd=tmp_path, SQS_QUEUE_URL=QUEUE, **environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert " 홍길동 " in done.stdout


def test_a_character_that_another_encoding_lacks_is_escaped(tmp_path: Path) -> None:
    done = worker(
        "config", cwd=tmp_path, SQS_QUEUE_URL=QUEUE, POD_NAME="é-홍", PYTHONIOENCODING="cp949"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\xe9-" in done.stdout


def test_a_misspelt_variable_of_a_file_causes_a_warning_on_stderr(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WORKER_CONCURENCY=5\n")
    done = worker("config", "--json", cwd=tmp_path, SQS_QUEUE_URL=QUEUE)
    assert done.returncode == 0
    assert json.loads(done.stdout)["WORKER_CONCURRENCY"]["value"] == "20"
    assert "did you mean WORKER_CONCURRENCY?" in done.stderr


def test_the_page_on_configuration_holds_the_table_of_all_variables() -> None:
    page = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
    assert markdown(VARIABLES) in page


def test_the_korean_readme_has_every_variable_with_its_default() -> None:
    readme = (Path(__file__).parents[3] / "docs" / "README.ko.md").read_text()
    for variable in VARIABLES:
        default = f"`{variable.default}`" if variable.default else "-"
        shown = "필수" if variable.required else default
        assert f"| `{variable.name}` | {shown} | " in readme
