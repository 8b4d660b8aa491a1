"""Only pinned dependencies are installed, and the linter refuses dangerous code."""

import re
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PINS = ("requirements.txt", "requirements-dev.txt")
PIN = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9._-]*)(?:\[[a-z0-9,_-]+\])?==(?P<version>[A-Za-z0-9][A-Za-z0-9.+!-]*)"
    r"(?: ; [^\n]*)?(?P<hashes>(?: +--hash=sha256:[0-9a-f]{64})+)"
)


def requirements(name: str) -> list[str]:
    """The lines of a requirements file as pip reads them: joined, without comments."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line]


def pins(name: str) -> dict[str, str]:
    found = {}
    for line in requirements(name):
        match = PIN.fullmatch(line)
        assert match, f"not pinned with a hash: {line[:80]}"
        found[match["name"]] = match["version"]
    return found


@pytest.mark.parametrize("name", PINS)
def test_every_dependency_has_one_version_and_its_hashes(name: str) -> None:
    found = pins(name)
    assert len(found) == len(requirements(name)) > 10


@pytest.mark.parametrize("name", PINS)
def test_no_pin_names_a_download_location(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-[a-z]|--(?!hash=)[a-z])", text, re.M)


def test_production_runs_the_versions_that_were_tested() -> None:
    tested = pins("requirements-dev.txt")
    for name, version in pins("requirements.txt").items():
        assert tested[name] == version, name


def test_every_dependency_of_the_package_is_pinned() -> None:
    setup = ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    wanted = setup["options"]["install_requires"].split("\n")
    names = {re.split(r"[<>=!~\[; ]", line)[0] for line in wanted if line.strip()}
    assert names <= set(pins("requirements.txt"))


def test_the_makefile_installs_nothing_without_its_hash() -> None:
    makefile = (ROOT / "Makefile").read_text()
    installs = [line for line in makefile.splitlines() if "pip install" in line]
    assert installs
    for line in installs:
        # The package itself has no hash, but installs no dependencies.
        ourselves = "--no-deps" in line and "--no-build-isolation" in line and "-e ." in line
        assert "--require-hashes" in line or ourselves, line
        assert "://" not in line


# The linter checks our own code; these tests check the linter's rules.


def lint(path: str, code: str) -> str:
    """The linter's findings for `code` as if it were at `path`."""
    command = [Path(sys.executable).parent / "ruff", "check", "--output-format=concise"]
    done = subprocess.run(
        [*command, "--stdin-filename", path, "-"],
        cwd=ROOT,
        input=code,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


DANGEROUS = {
    "S301": "import pickle\n\nseats = pickle.loads(b'')",
    "S302": "import marshal\n\nseats = marshal.loads(b'')",
    "S307": "seats = eval('1')",
    "S102": "exec('1')",
    "S506": "import yaml\n\nseats = yaml.load('', Loader=yaml.Loader)",
    "S602": "import subprocess\n\nsubprocess.run('ls', shell=True, check=True)",
    "S605": "import os\n\nos.system('ls')",
    "S501": "import requests\n\nrequests.get('https://x', verify=False, timeout=1)",
    "S323": "import ssl\n\ncontext = ssl._create_unverified_context()",
    "S306": "import tempfile\n\nname = tempfile.mktemp()",
    "S108": "name = '/tmp/x'",
    "S113": "import requests\n\nrequests.get('https://x')",
    "S310": "import urllib.request\n\nurl = input()\nurllib.request.urlopen(url)",
    "S314": "import xml.etree.ElementTree as ET\n\nET.fromstring('')",
    "S324": "import hashlib\n\nname = hashlib.md5(b'')",
    "S105": "password = 'hunter2'",
    "S110": "try:\n    seats = 1\nexcept Exception:\n    pass",
}


@pytest.mark.parametrize("place", ["pipeline", "simulator"])
def test_the_linter_refuses_dangerous_code_in_the_package(place: str) -> None:
    code = "".join(
        f"def do_{rule.lower()}():\n    {text.replace(chr(10), chr(10) + '    ')}\n"
        for rule, text in DANGEROUS.items()
    )
    said = lint(f"reservation_worker/{place}/sketch.py", code)
    missed = [rule for rule in DANGEROUS if f" {rule} " not in said]
    assert missed == []


def test_every_exemption_from_the_security_rules_carries_its_reason() -> None:
    text = (ROOT / "ruff.toml").read_text()
    config = tomllib.loads(text)["lint"]
    assert "S" in config["select"]
    assert not any(rule.startswith("S") for rule in config["ignore"] if rule[1:2].isdigit())
    for path, rules in config["per-file-ignores"].items():
        if any(re.fullmatch(r"S\d*", rule) for rule in rules):
            [line] = [line for line in text.splitlines() if line.startswith(f'"{path}"')]
            assert len(line.partition("#")[2].split()) > 3, line


def test_every_line_exempt_from_the_security_rules_carries_its_reason() -> None:
    for path in (ROOT / "reservation_worker").rglob("*.py"):
        for line in path.read_text().splitlines():
            if re.search(r"noqa: [A-Z0-9, ]*\bS\d", line):
                assert re.search(r"noqa: [A-Z0-9, ]+ -- \w+ \w+", line), line
