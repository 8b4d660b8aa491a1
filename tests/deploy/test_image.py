"""The image as it runs in a pod: not root, a read-only root file system, no capabilities."""

import json
import re
import runpy
import signal
import subprocess
import uuid
from typing import Any

import pytest

from reservation_worker.simulator.processes.worker import WorkerProcess
from tests.deploy.conftest import BASE
from tests.deploy.tools import ROOT, run
from tests.world import World, until

pytestmark = pytest.mark.timeout(600)

EVENTS = 600
HARDENED = (
    *("podman", "run", "--rm", "--runtime=runc", "--cgroup-manager=cgroupfs", "--network=host"),
    *("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--no-healthcheck"),
    *("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"),
)
MOST_MB = 60


def in_image(image: str, *command: str) -> str:
    return run(*HARDENED, f"--entrypoint={command[0]}", image, *command[1:])


def contained(worker: WorkerProcess, image: str) -> str:
    """Make it run in a container; returns the container's name."""
    name = f"worker-{uuid.uuid4().hex[:8]}"
    given = [f"--env={variable}" for variable in worker.env]
    worker.command = [*HARDENED, f"--name={name}", *given, "--env=SERVER_PORT", image]
    return name


def inspect(image: str) -> dict[str, Any]:
    [found] = json.loads(run("podman", "image", "inspect", image))
    return dict(found)


def test_a_container_stopped_under_load_settles_or_gives_back_every_message(
    world: World, image: str
) -> None:
    world.neighbours.latency(100)
    worker = world.worker({"SQS_WAIT_TIME": "1"})
    name = contained(worker, image)
    try:
        worker.start()
        worker.until(lambda: worker.health()[0] == 200, 60, "answered on /health")
        run("podman", "--runtime=runc", "exec", name, "reservation-worker", "health")
        world.expire(world.seed(EVENTS))
        until(lambda: len(world.released()) > 100, 60, "work is under way")
        # As process 1 of its container it would ignore signals without a handler.
        worker.signal(signal.SIGTERM)
        assert worker.wait(40) == 0
    finally:
        subprocess.run(("podman", "rm", "--force", name), capture_output=True, check=False)
    visible, in_flight = world.counts()
    released = world.released()
    assert visible > 0, "the load had ended before the signal"
    assert (len(released) + visible, in_flight) == (EVENTS, 0)
    assert set(released.values()) == {1}


def test_it_is_not_root_has_no_capability_and_can_not_write_its_root_file_system(
    image: str,
) -> None:
    output = in_image(image, "sh", "-c", "id -u; touch /x 2>&1; grep CapEff /proc/self/status; pwd")
    assert output.splitlines() == [
        "10001",
        "touch: cannot touch '/x': Read-only file system",
        "CapEff:\t0000000000000000",
        "/app",
    ]


def test_a_wrong_configuration_ends_the_container_with_2_and_its_reason(image: str) -> None:
    done = subprocess.run((*HARDENED, image), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "SQS_QUEUE_URL is not set" in done.stderr


def test_the_image_adds_little_to_its_base_and_no_tools_to_build_or_test_with(
    image: str,
) -> None:
    added = inspect(image)["Size"] - inspect(BASE)["Size"]
    assert added < MOST_MB * 1_000_000
    listed = in_image(image, "ls", "/opt/worker/lib/python3.11/site-packages").split()
    names = {name.split("-")[0] for name in listed}
    assert {"reservation_worker", "boto3", "grpc"} <= names
    assert not names & {"pip", "setuptools", "wheel", "pytest", "moto", "ministack", "hypothesis"}
    services = in_image(image, "ls", "/opt/worker/lib/python3.11/site-packages/botocore/data")
    assert {"sqs", "sts", "secretsmanager", "sns"} <= set(services.split())


def test_its_imported_modules_are_compiled(image: str) -> None:
    script = (
        "import reservation_worker.bootstrap, sys; print(all(m.__cached__ and"
        " __import__('os').path.exists(m.__cached__) for m in sys.modules.values()"
        " if 'site-packages' in (getattr(m, '__file__', None) or '')"
        " and m.__file__.endswith('.py')))"
    )
    assert in_image(image, "python", "-c", script) == "True\n"


@pytest.mark.parametrize("module", ["sqs.provision", "neighbours"])
def test_it_has_the_commands_that_the_development_stack_runs(image: str, module: str) -> None:
    output = in_image(image, "python", "-m", f"reservation_worker.simulator.{module}", "--help")
    assert output.startswith(f"usage: {module.rpartition('.')[2]}")


def test_its_labels_user_and_entrypoint(image: str) -> None:
    config = inspect(image)["Config"]
    assert config["Entrypoint"] == ["reservation-worker"]
    assert config["User"] == "10001:10001"
    assert config["StopSignal"] == "SIGTERM"
    labels = config["Labels"]
    assert labels["org.opencontainers.image.version"] == "test"
    assert labels["org.opencontainers.image.source"].endswith("/reservation-worker")


def test_the_build_context_is_limited_to_the_files_that_the_dockerfile_copies() -> None:
    text = (ROOT / ".dockerignore").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    copied = {"requirements.txt", "requirements-build.txt", "setup.py", "setup.cfg"}
    copied |= {"README.md", "LICENSE", "reservation_worker", "k8s/image"}
    assert {line[1:] for line in lines if line.startswith("!")} == copied


def test_the_image_keeps_every_aws_service_that_the_package_makes_a_client_of() -> None:
    sources = (ROOT / "reservation_worker").rglob("*.py")
    made = {
        name for one in sources for name in re.findall(r'\.client\(\s*"([a-z-]+)"', one.read_text())
    }
    kept = runpy.run_path(str(ROOT / "k8s/image/slim.py"))["SERVICES"]
    assert {"sqs", "kms"} <= made <= kept
