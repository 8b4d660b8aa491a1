"""Tools of the system that the deployment tests need: there, or the test says what is missing."""

import os
import shutil

import pytest


def need(*tools: str, root: bool = False) -> None:
    """Skip where a tool is missing; where continuous integration runs, that is a failure."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if root and os.geteuid() != 0:
        missing.append("root")
    if missing:
        reason = f"not on this machine: {', '.join(missing)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
