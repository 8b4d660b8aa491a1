"""The tools that the deployment's tests run, and the reason given where one is missing."""

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
Objects = list[dict[str, Any]]


def lacking(reason: str) -> NoReturn:
    """Skip with `reason`; on a build server, where the tools must be there, fail."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def need(*tools: str, root: bool = False) -> None:
    """Skip (see `lacking`) where one of `tools` is missing, or root's rights."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if root and os.geteuid() != 0:
        missing.append("root")
    if missing:
        lacking(f"not on this machine: {', '.join(missing)}")


def run(*command: str, stdin: str = "") -> str:
    """The standard output of `command`; it must succeed."""
    need(command[0])
    ended = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    output = f"{ended.stdout[-3000:]}{ended.stderr[-3000:]}"
    assert ended.returncode == 0, f"{' '.join(command)}\n{output}"
    return ended.stdout


@functools.cache
def rendered(folder: str) -> Objects:
    """The objects that `kubectl apply -k k8s/deploy/FOLDER` applies. Shared: don't change them."""
    return list(yaml.safe_load_all(run("kubectl", "kustomize", str(K8S / "deploy" / folder))))


def strict_problems(objects: Sequence[Mapping[str, Any]], modules: Path) -> list[str]:
    """The objections of the schemas below `modules` to `objects`, unknown fields included."""
    script = Path(__file__).with_name("strict.mjs")
    problems: list[str] = json.loads(
        run("node", str(script), str(modules), stdin=json.dumps(objects))
    )
    return problems
