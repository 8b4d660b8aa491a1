"""The Makefile's commands around Docker, and the development stack that they start."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.tools import ROOT, need

# Fails for the sub-commands named in LACKING and records all others.
DOCKER = """#!/bin/sh
case " $LACKING " in *" $1 "*) exit 1;; esac
echo "$@" >>"$CALLS"
"""
PROMISED = """
init run run-with-env grpcui fmt lint verify test test-coverage test-integration build build-linux
docker-build docker-push docker-run docker-run-with-aws clean deps proto info pprof localstack
localstack-stop logs help
"""


class Checkout:
    """A directory with the Makefile, and a docker command that does nothing."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        shutil.copy(ROOT / "Makefile", directory)
        (directory / "bin").mkdir()
        (directory / "home" / ".aws").mkdir(parents=True)
        (directory / ".env.local").touch()
        docker = directory / "bin" / "docker"
        docker.write_text(DOCKER)
        docker.chmod(0o755)

    def make(self, target: str, lacking: str = "") -> tuple[int, str]:
        """The exit code and the output."""
        ended = subprocess.run(
            ["make", target],
            cwd=self.directory,
            env={
                "PATH": f"{self.directory}/bin:{os.environ['PATH']}",
                "HOME": f"{self.directory}/home",
                "CALLS": f"{self.directory}/calls",
                "LACKING": lacking,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode, ended.stdout + ended.stderr

    def calls(self) -> str:
        """The arguments of docker's calls, a line each."""
        return (self.directory / "calls").read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    need("make")
    return Checkout(tmp_path)


@pytest.mark.parametrize(
    ("target", "lacking", "message"),
    [
        ("up", "info", "no Docker engine answers"),
        ("up", "compose", "docker compose is missing"),
        ("down", "compose", "docker compose is missing"),
        ("logs", "compose", "docker compose is missing"),
        ("localstack", "compose", "docker compose is missing"),
        ("localstack-stop", "compose", "docker compose is missing"),
        ("build-linux", "buildx", "docker buildx is missing"),
        ("docker-run", "info", "no Docker engine answers"),
    ],
)
def test_a_missing_part_of_docker_is_named(
    checkout: Checkout, target: str, lacking: str, message: str
) -> None:
    code, text = checkout.make(target, lacking)
    assert code != 0
    assert message in text.splitlines()[0]


def test_the_container_finds_the_machines_profiles_and_logins_in_its_home(
    checkout: Checkout,
) -> None:
    assert checkout.make("docker-run-with-aws")[0] == 0
    [home] = re.findall(r"--env HOME=(\S+)", checkout.calls())
    assert f"--volume {checkout.directory}/home/.aws:{home}/.aws:ro" in checkout.calls()


def test_every_promised_command_exists_and_has_its_help(checkout: Checkout) -> None:
    listed = re.findall(r"^  ([a-z-]+) +\w", checkout.make("help")[1], re.MULTILINE)
    assert set(PROMISED.split()) <= set(listed)
    [phony] = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    # A step of the cluster's targets, not a command.
    assert set(phony.split()) - {"cluster-programs"} == set(listed)


def test_only_the_worker_has_the_images_health_check() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    ours = {name: one for name, one in services.items() if one.get("build") == "."}
    assert {name for name, one in ours.items() if "healthcheck" not in one} == {"worker"}
    for name in ours.keys() - {"worker"}:
        assert services[name]["healthcheck"] == {"disable": True}, name


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_of_a_run_with_localstack_is_that_of_the_command(
    tmp_path: Path, code: int
) -> None:
    script = tmp_path / ".ci" / "localstack"
    script.parent.mkdir()
    shutil.copy(ROOT / ".ci" / "localstack", script)
    [version] = re.findall(r"^version=(\S+)$", script.read_text(), re.MULTILINE)
    venv = tmp_path / "build" / "localstack"
    made = {
        # A server that is up at once, and no Docker.
        venv / "bin" / "python": f"touch {tmp_path}/up; exec sleep 60",
        tmp_path / "bin" / "curl": f"test -e {tmp_path}/up",
        tmp_path / "bin" / "docker": "exit 1",
    }
    for path, line in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)
    (venv / f".ready-{version}").touch()
    ended = subprocess.run(
        [script, "sh", "-c", f'test -n "$EXTERNAL_SQS_URL" && exit {code}'],
        env={"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == code
