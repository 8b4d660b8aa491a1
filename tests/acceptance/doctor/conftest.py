"""A whole system that works, for `doctor` to find."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from reservation_worker.cli import main as cli
from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION
from reservation_worker.simulator.sqs.provision import create_rule
from tests.acceptance.doctor.processes import Doctor, Report
from tests.sqs_proxy.process import SqsProxyProcess
from tests.world import World


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as made:
        keys = {name.lower(): text for name, text in CREDENTIALS.items()}
        events = boto3.client("events", endpoint_url=made.sqs.url, region_name=REGION, **keys)
        create_rule(events, made.client, made.queue_url)
        yield made


@pytest.fixture(scope="module")
def proxy(world: World) -> Iterator[SqsProxyProcess]:
    with SqsProxyProcess(world.sqs.url) as made:
        yield made


@pytest.fixture
def environ(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """A worker's that finds all it needs, but for a collector."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(("AWS_", "OTEL_"))]:
        monkeypatch.delenv(name)
    return world.worker().env | {"SERVER_PORT": "0"}


@pytest.fixture
def doctor(
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Doctor:
    def ask(*args: str, **changes: str) -> Report:
        for name, text in (environ | changes).items():
            monkeypatch.setenv(name, text)
        code = cli.main(["doctor", "--json", *args])
        out, err = capsys.readouterr()
        assert err == ""
        return Report(code, out)

    return ask


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]
