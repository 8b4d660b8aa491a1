"""Installs the peers into build/peers, anew where their pins have changed.

They are no dependencies of the project.

Usage: python -m benchmarks.peers.install
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PINS = Path(__file__).parent
HOME = PINS.parents[1] / "build/peers"
PYTHON = HOME / "venv/bin/python"
MODULES = HOME / "node/node_modules"


def install(say: Callable[[str], None]) -> dict[str, str]:
    """By command, why its packages can't be installed; empty if all are installed."""
    failed = {}
    for tool, pins, place in (
        (str(PYTHON), [PINS / "requirements.txt"], HOME / "venv"),
        ("node", [PINS / "node" / name for name in _NODE], MODULES.parent),
    ):
        command, stamp = Path(tool).name, place / ".pins"
        wanted = "".join(path.read_text() for path in pins)
        if shutil.which(tool) and stamp.exists() and stamp.read_text() == wanted:
            continue
        say(f"installing the peers for {command} into {place} (once) ...")
        shutil.rmtree(place, ignore_errors=True)
        try:
            _INSTALL[command](place)
        except FileNotFoundError as error:
            failed[command] = f"{error.filename} is missing"
        except subprocess.CalledProcessError as error:
            failed[command] = f"{' '.join(error.cmd[:4])} failed: {error.stderr.strip()[-300:]}"
        else:
            stamp.write_text(wanted)
    return failed


def _python(place: Path) -> None:
    _run([sys.executable, "-m", "venv", str(place)])
    quiet = ["--quiet", "--disable-pip-version-check", "--no-deps"]
    _run([str(PYTHON), "-m", "pip", "install", *quiet, "-r", str(PINS / "requirements.txt")])


def _node(place: Path) -> None:
    _run(["node", "--version"])
    place.mkdir(parents=True)
    for name in _NODE:
        shutil.copy(PINS / "node" / name, place)
    # No package needs its scripts.
    _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(place)])


_NODE = ("package.json", "package-lock.json")
_INSTALL: dict[str, Callable[[Path], None]] = {PYTHON.name: _python, "node": _node}


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own


if __name__ == "__main__":
    for name, why in install(print).items():
        print(f"not installed: {name}: {why}")
