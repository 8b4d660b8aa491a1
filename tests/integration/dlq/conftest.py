"""One world for all tests of the desk; each has queues of its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reservation_worker.cli.dlq import desk
from tests.integration.dlq.bench import Bench
from tests.sqs_proxy.process import SqsProxyProcess
from tests.world import World


@pytest.fixture(scope="package")
def system() -> Iterator[World]:
    with World() as made:
        yield made


@pytest.fixture
def bench(
    system: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Bench:
    monkeypatch.chdir(tmp_path)  # it has no .env
    # This server has nothing more when it answers with nothing.
    monkeypatch.setattr(desk, "_WAIT", 0)
    return Bench(system, monkeypatch, capsys)


@pytest.fixture
def proxy(system: World) -> Iterator[Callable[..., SqsProxyProcess]]:
    with SqsProxyProcess(system.sqs.url) as process:

        def faulty(**faults: Any) -> SqsProxyProcess:
            process.set_faults(faults)
            return process

        yield faulty
