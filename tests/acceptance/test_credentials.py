"""Credentials that come late or never, with a real worker and real credential processes."""

import signal
from pathlib import Path

import pytest

from reservation_worker.simulator.sqs.emulator import CREDENTIALS
from tests.world import World, until

pytestmark = pytest.mark.usefixtures("unmeasured")

KEY, SECRET = CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"]


def files(directory: Path) -> dict[str, str]:
    """Only the credentials that a test writes to `config` and `credentials`."""
    return {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_CONFIG_FILE": str(directory / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(directory / "credentials"),
    }


@pytest.fixture
def hanging(tmp_path: Path) -> Path:
    """A credential_process that hangs, as its child does; each run appends both pids here."""
    pids, script = tmp_path / "pids", tmp_path / "process.sh"
    script.write_text(f'#!/bin/sh\nsleep 600 &\necho "$$ $!" >> {pids}\nwait\n')
    script.chmod(0o755)
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {script}\n")
    return pids


def runs(pids: Path) -> int:
    return len(pids.read_text().splitlines()) if pids.exists() else 0


def left(pids: Path) -> list[str]:
    """The processes that still run, without zombies."""
    return [
        pid
        for pid in pids.read_text().split()
        if (stat := Path(f"/proc/{pid}/stat")).exists()
        and stat.read_text().rpartition(")")[2].split()[0] != "Z"
    ]


def test_a_worker_starts_without_credentials_and_works_once_they_arrive(
    world: World, tmp_path: Path
) -> None:
    world.expire(world.seed(1))
    worker = world.run_worker(**files(tmp_path))
    worker.until(lambda: worker.probe("/ready")[0] == 503, 60, "said that it is not ready")
    (tmp_path / "credentials").write_text(
        f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
    )
    worker.until(lambda: len(world.released()) == 1, 60, "settled the event")
    worker.signal(signal.SIGTERM)
    assert worker.wait(60) == 0


def test_a_hanging_credential_process_leaves_no_child_behind_at_the_stop(
    world: World, tmp_path: Path, hanging: Path
) -> None:
    worker = world.run_worker(**files(tmp_path))
    until(lambda: runs(hanging) > 1, 60, "the worker asks for credentials again")
    worker.signal(signal.SIGTERM)
    worker.wait(60)
    assert left(hanging) == []


def test_a_stop_during_the_start_leaves_no_credential_process_behind(
    world: World, tmp_path: Path, hanging: Path
) -> None:
    worker = world.worker({"SQS_WAIT_TIME": "0", "SHUTDOWN_TIMEOUT": "10", **files(tmp_path)})
    worker.start()
    until(lambda: runs(hanging) > 0, 60, "the worker asks for credentials")
    worker.signal(signal.SIGTERM)
    worker.wait(60)
    assert left(hanging) == []
