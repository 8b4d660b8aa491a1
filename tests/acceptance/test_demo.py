"""The demo as a new user runs it, with fewer events."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import requests
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from reservation_worker.cli import demo as verb
from reservation_worker.cli import main as cli

DEMO = [sys.executable, "-m", "reservation_worker", "demo", "--events", "100"]


def test_the_demo_ends_with_a_reconciled_ledger_and_exits_0():
    ended = subprocess.run(
        [*DEMO, "--character", "today"], capture_output=True, text=True, timeout=110, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Everything reconciles." in ended.stdout


@dataclass(frozen=True)
class Kept:
    """A demo that runs on: its result, its addresses, and the settings for other verbs."""

    result: dict[str, Any]
    named: dict[str, str]
    settings: dict[str, str]


@pytest.fixture(scope="module")
def kept() -> Iterator[Kept]:
    command = [*DEMO, "--json", "--seed", "3", "--latency-ms", "5", "--keep"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        try:
            assert demo.stdout is not None
            assert demo.stderr is not None
            result = json.loads(demo.stdout.readline())
            named = {}
            for line in map(str.strip, demo.stderr):
                if line.startswith("export "):
                    break
                name, _, place = line.partition("  ")
                named[name] = place.strip()
            settings = dict(word.split("=", 1) for word in shlex.split(line)[1:])
            yield Kept(result, named, settings)
        finally:
            demo.terminate()
            demo.communicate(timeout=60)
    assert demo.returncode == 128 + signal.SIGTERM


def test_the_demo_as_json_is_one_object_with_the_reconciliation(kept: Kept):
    assert kept.result["ok"]
    found = kept.result["reconciliation"]
    assert found["compensations_due"] == found["compensations_found"] != []
    assert [found[kind] for kind in ("oversold", "leaked", "lost", "doubled")] == [[], [], [], []]


def test_a_kept_demo_prints_its_page_its_debug_server_and_settings_for_other_verbs(kept: Kept):
    page = requests.get(kept.named["status page"], timeout=10)
    assert "<html" in page.text
    with grpc.insecure_channel(kept.named["debug server"].split()[0]) as channel:
        health = HealthStub(channel).Check(HealthCheckRequest(), timeout=10)
    assert health.status == HealthCheckResponse.SERVING
    listed = subprocess.run(
        [sys.executable, "-m", "reservation_worker", "dlq", "list", "--json"],
        env=os.environ | kept.settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(listed.stdout)
    assert found["messages"] > 0
    assert found["partial"] == []


def test_without_its_extra_the_demo_prints_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(verb.importlib.util, "find_spec", lambda name: None)
    assert cli.main(["demo"]) == 1
    assert "pip install '.[demo]'" in capsys.readouterr().err
