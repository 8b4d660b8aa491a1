"""The demo as a new user runs it, with fewer events."""

import json
import os
import shlex
import signal
import subprocess
import sys

import grpc
import pytest
import requests
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from reservation_worker.cli import demo as verb
from reservation_worker.cli import main as cli


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reservation_worker", "demo", "--events", "150", *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


@pytest.mark.parametrize("character", ["contract", "today"])
def test_the_demo_ends_with_a_reconciled_ledger_and_exits_0(character: str):
    ended = run_demo("--character", character)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Everything reconciles." in ended.stdout


def test_the_demo_as_json_is_one_object_with_the_reconciliation():
    ended = run_demo("--json", "--seed", "3", "--latency-ms", "5")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    result = json.loads(ended.stdout)
    assert result["ok"]
    found = result["reconciliation"]
    assert found["compensations_due"] == found["compensations_found"] != []
    assert [found[kind] for kind in ("oversold", "leaked", "lost", "doubled")] == [[], [], [], []]


def test_a_kept_demo_prints_its_page_its_debug_server_and_settings_for_other_verbs():
    command = [sys.executable, "-m", "reservation_worker"]
    with subprocess.Popen(
        [*command, "demo", "--events", "100", "--keep"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        try:
            assert demo.stderr is not None
            named = {}
            for line in map(str.strip, demo.stderr):
                if line.startswith("export "):
                    break
                name, _, place = line.partition("  ")
                named[name] = place.strip()
            given = dict(word.split("=", 1) for word in shlex.split(line)[1:])
            page = requests.get(named["status page"], timeout=10)
            with grpc.insecure_channel(named["debug server"].split()[0]) as channel:
                health = HealthStub(channel).Check(HealthCheckRequest(), timeout=10)
            listed = subprocess.run(
                [*command, "dlq", "list", "--json"],
                env=os.environ | given,
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
        finally:
            demo.terminate()
            demo.communicate(timeout=60)
    assert "<html" in page.text
    assert health.status == HealthCheckResponse.SERVING
    found = json.loads(listed.stdout)
    assert found["messages"] > 0
    assert found["partial"] == []
    assert demo.returncode == 128 + signal.SIGTERM


def test_without_its_extra_the_demo_prints_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(verb.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["demo"]) == 1
    assert "pip install '.[demo]'" in capsys.readouterr().err
