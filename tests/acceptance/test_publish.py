"""`publish` and `burst` as processes, against a real SQS server and real workers."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from reservation_worker.cli import main as cli
from reservation_worker.events.kinds import BY_LABEL
from reservation_worker.simulator.processes.child import Child
from reservation_worker.simulator.processes.worker import WorkerProcess
from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION
from reservation_worker.simulator.sqs.provision import create_queues
from tests.world import World, until


class Shell:
    """A world with a queue that a worker drains, and one that no worker reads."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.directory = directory
        self.idle_url, _ = create_queues(world.client, name="idle")
        self.worker: WorkerProcess = world.run_worker()
        self.env = CREDENTIALS | {
            "AWS_ENDPOINT_URL": world.sqs.url,
            "AWS_REGION": REGION,
            "SQS_QUEUE_URL": world.queue_url,
            "SERVER_PORT": self.worker.env["SERVER_PORT"],
        }

    def run(self, *arguments: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "reservation_worker", *arguments],
            cwd=self.directory,
            env={**_base(), **self.env, **env},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *arguments: str) -> Child:
        """The verb in the background, its output in files."""
        command = [sys.executable, "-m", "reservation_worker", *arguments]
        return Child(command, self.env, directory=self.directory / arguments[0])

    def settled(self) -> int:
        return self.worker.metrics().settled()


def _base() -> dict[str, str]:
    root = str(Path(__file__).parents[2])
    coverage = {name: text for name, text in os.environ.items() if name.startswith("COV")}
    return {"PATH": os.environ["PATH"], "PYTHONPATH": root, **coverage}


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    with World() as world:
        yield Shell(world, tmp_path_factory.mktemp("shell"))


def purge(shell: Shell) -> None:
    shell.world.client.purge_queue(QueueUrl=shell.idle_url)
    until(lambda: shell.world.counts(shell.idle_url) == (0, 0), 10, "purged")


def test_every_variant_is_settled_by_the_worker_and_none_is_invalid(shell: Shell):
    before = shell.worker.metrics()
    line = ("publish", "--variant", "all", "--count", "27", "--json")
    kinds = ("--type", "expired", "--type", "approved", "--type", "payment.failed")
    done = shell.run(*line, *kinds)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sent"] == 27
    until(lambda: (shell.worker.metrics() - before).settled() == 27, 60, "settled")
    outcomes = (shell.worker.metrics() - before).outcomes()
    assert {name for row in outcomes.values() for name in row} <= {"success", "failed"}
    assert set(outcomes) == {"expired", "approved", "failed"}


def test_a_file_with_a_wrong_line_sends_nothing_and_force_sends_it_to_the_dead_letters(
    shell: Shell,
):
    good = '{"type": "reservation.expired", "reservationId": "file-1"}\n'
    purge(shell)
    target = ("--file", "-", "--queue-url", shell.idle_url)
    done = shell.run("publish", *target, stdin=good + "nonsense\n")
    assert done.returncode == 1
    assert "line 2: the body is not JSON" in done.stderr
    assert shell.world.counts(shell.idle_url) == (0, 0)
    before = shell.worker.metrics()
    done = shell.run("publish", "--file", "-", "--force", stdin=good + "nonsense\n")
    assert done.returncode == 0, done.stderr
    until(lambda: (shell.worker.metrics() - before).settled() == 2, 60, "settled")
    gained = shell.worker.metrics() - before
    assert gained.value("worker_events_total", outcome="invalid_payload") == 1


def test_events_that_sqs_refuses_are_counted_and_the_others_sent(shell: Shell):
    purge(shell)
    where = ("--queue-url", shell.idle_url, "--json")
    done = shell.run("publish", "--file", "-", "--force", *where, stdin="a\nb\x01\nc\n")
    summary = json.loads(done.stdout)
    assert (done.returncode, summary["sent"], summary["failed"]) == (1, 2, 1)
    assert "InvalidMessageContents" in done.stderr
    assert shell.world.counts(shell.idle_url) == (2, 0)


def test_ctrl_c_in_the_middle_prints_exactly_how_many_are_in_the_queue(shell: Shell):
    purge(shell)
    line = ("publish", "--count", "5000", "--rate", "400", "--json")
    with shell.start(*line, "--queue-url", shell.idle_url) as child:
        until(lambda: shell.world.counts(shell.idle_url)[0] >= 30, 60, "some were sent")
        child.signal(signal.SIGINT)
        assert child.wait(60) == 130
        summary = json.loads(child.stdout.read_text())
    assert summary["interrupted"]
    assert 30 <= summary["sent"] == shell.world.counts(shell.idle_url)[0] < 5000
    assert child.stderr.read_text() == ""


def test_an_event_on_a_bus_reaches_the_worker_through_a_rule(shell: Shell):
    events = boto3.client(
        "events",
        endpoint_url=shell.world.sqs.url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    queue = shell.world.client.get_queue_attributes(
        QueueUrl=shell.world.queue_url, AttributeNames=["QueueArn"]
    )["Attributes"]["QueueArn"]
    arn = events.create_event_bus(Name="tickets")["EventBusArn"]
    pattern = {"source": ["reservation-api", "payment-sim-api"]}
    events.put_rule(Name="all", EventBusName="tickets", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="all", EventBusName="tickets", Targets=[{"Id": "1", "Arn": queue}])
    before = shell.worker.metrics()
    for bus in ("tickets", arn):
        kinds = ("--type", "expired", "--type", "approved", "--type", "failed")
        line = ("publish", "--bus", bus, "--variant", "all", "--count", "12", *kinds)
        done = shell.run(*line, SQS_QUEUE_URL="")
        assert done.returncode == 0, done.stderr
    until(lambda: (shell.worker.metrics() - before).settled() == 24, 60, "settled")
    gained = shell.worker.metrics() - before
    assert gained.value("worker_events_total", outcome="invalid_payload") == 0


def test_a_burst_ends_when_all_are_settled_and_its_figures_are_of_this_run_only(shell: Shell):
    shell.run("publish", "--count", "5")
    until(shell.world.empty, 60, "empty")
    seeded = ("--seed-url", shell.world.neighbours.control_base)
    count = 30 * len(BY_LABEL)
    done = shell.run("burst", "--count", str(count), "--json", *seeded)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["settled"] == figures["events"] == count
    assert figures["dead_lettered"] == 0
    assert figures["outcomes"] == {label: {"success": 30} for label in BY_LABEL}
    assert 0 < figures["latency_ms"]["all"]["p50"] <= figures["latency_ms"]["all"]["p99"]


def test_a_burst_counts_dead_letters_apart_from_settled_events(shell: Shell):
    until(shell.world.empty, 60, "empty")
    # Nobody made their reservations.
    unknown = ("burst", "--count", "10", "--type", "expired")
    shown = shell.run(*unknown)
    assert shown.returncode == 0, shown.stderr
    assert "; 0 settled and 10 dead-lettered in " in shown.stdout
    figures = json.loads(shell.run(*unknown, "--json").stdout)
    assert (figures["settled"], figures["dead_lettered"]) == (0, 10)


def test_a_burst_that_runs_out_of_time_prints_how_many_are_settled(shell: Shell):
    purge(shell)
    line = ("burst", "--count", "20", "--queue-url", shell.idle_url, "--timeout", "0.3")
    done = shell.run(*line)
    assert done.returncode == 1
    assert "time is up" in done.stderr
    assert "0 of 20 events were settled" in done.stderr


def test_a_burst_without_a_worker_sends_nothing_and_fails(shell: Shell):
    purge(shell)
    done = shell.run("burst", "--queue-url", shell.idle_url, SERVER_PORT="1")
    assert done.returncode == 1
    assert "http://127.0.0.1:1/metrics does not answer: " in done.stderr
    assert shell.world.counts(shell.idle_url) == (0, 0)


def test_a_target_that_is_not_on_this_machine_needs_yes(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    real = "https://sqs.ap-northeast-2.amazonaws.com/123456789012/q"
    elsewhere = "https://sqs.example.com"
    monkeypatch.chdir(shell.directory)
    for name, text in shell.env.items():
        monkeypatch.setenv(name, text)

    def refused(endpoint: str, *line: str) -> str:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert cli.main(list(line)) == 1
        return capsys.readouterr().err

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
        for endpoint, *line in (
            (nobody, "burst", "--queue-url", real),
            (elsewhere, "burst", "--queue-url", shell.idle_url),
            (nobody, "publish", "--queue-url", real),
            (elsewhere, "publish", "--queue-url", shell.idle_url),
            (elsewhere, "publish", "--bus", "tickets"),
        ):
            assert "is not on this machine" in refused(endpoint, *line)
        assert "could not send" in refused(nobody, "publish", "--yes", "--queue-url", real)


def test_ctrl_c_while_a_burst_waits_prints_how_many_are_settled(shell: Shell):
    purge(shell)
    line = ("burst", "--count", "20", "--queue-url", shell.idle_url)
    with shell.start(*line) as child:
        until(lambda: shell.world.counts(shell.idle_url)[0] == 20, 60, "published")
        child.signal(signal.SIGINT)
        assert child.wait(60) == 130
        text = child.stdout.read_text().splitlines()[-1]
    assert text.startswith("interrupted: sent 20 of 20 events in ")
    assert "; 0 settled in " in text


def test_a_burst_whose_worker_goes_away_names_it_and_prints_how_many_are_settled(shell: Shell):
    purge(shell)
    doomed = shell.world.run_worker("doomed")
    line = ("burst", "--count", "20", "--queue-url", shell.idle_url)
    with shell.start(*line, "--metrics-url", f"{doomed.base}/metrics") as child:
        until(lambda: shell.world.counts(shell.idle_url)[0] == 20, 60, "published")
        doomed.kill()
        assert child.wait(60) == 1
        text = child.stderr.read_text()
    assert f"{doomed.base}/metrics does not answer" in text
    assert "0 of 20 events were settled" in text
