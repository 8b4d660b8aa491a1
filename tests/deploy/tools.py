"""Tools that the deployment is read with: what they need and what is said where they are not."""

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


def lacking(what: str) -> NoReturn:
    """Skip with a plain reason; on a build server a check that can't be made is a failed one."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def need(*tools: str, root: bool = False) -> None:
    """See `lacking`: where one of `tools` is missing, or the rights of root."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if root and os.geteuid() != 0:
        missing.append("root")
    if missing:
        lacking(f"not on this machine: {', '.join(missing)}")


def run(*command: str, stdin: str = "") -> str:
    """What `command` prints; it must succeed."""
    need(command[0])
    ended = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    said = f"{ended.stdout[-3000:]}{ended.stderr[-3000:]}"
    assert ended.returncode == 0, f"{' '.join(command)}\n{said}"
    return ended.stdout


def rendered(folder: str) -> Objects:
    """What `kubectl apply -k` of k8s/deploy/`folder` would apply."""
    return list(yaml.safe_load_all(run("kubectl", "kustomize", str(K8S / "deploy" / folder))))


def strict_problems(objects: Sequence[Mapping[str, Any]], modules: Path) -> list[str]:
    """What the schemas below `modules` say against `objects`, unknown fields included."""
    script = Path(__file__).with_name("strict.mjs")
    problems: list[str] = json.loads(
        run("node", str(script), str(modules), stdin=json.dumps(objects))
    )
    return problems
