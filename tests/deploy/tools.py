"""Tools that are no Python packages: what needs them skips without them, but not in CI."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def tool(name: str, package: str) -> str:
    """Its path. Without it the test skips, or fails where CI is set."""
    if path := shutil.which(name):
        return path
    reason = f"{name} is missing: on Debian and Ubuntu, apt-get install {package}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def promtool(*arguments: str | Path) -> None:
    """Run it; fails with what it says."""
    command = [tool("promtool", "prometheus"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
