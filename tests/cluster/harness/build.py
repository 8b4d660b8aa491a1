"""Builds the cluster's programs, once: `python -m tests.cluster.harness.build [--check]`.

They and the manifests of KEDA and of Prometheus's operator are kept in the user's cache, under a
hash of everything that is built. Go's own caches are not needed afterwards.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

GO = Path(__file__).parents[1] / "go"
NEEDED_GO = (1, 26)
KEDA = "github.com/kedacore/keda/v2"
OPERATOR = "github.com/prometheus-operator/prometheus-operator"
# What each program calls itself; it finds out by the name it is called by (main.go).
NAMES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")


class Program(NamedTuple):
    """A package of a Go module below GO, and the file it becomes."""

    file: str
    module: str
    package: str


PROGRAMS = (
    Program("kube", "control-plane", "."),
    *(Program(f"keda-{n}", "keda", f"{KEDA}/cmd/{n}") for n in ("operator", "adapter", "webhooks")),
)
# Which files of a module are kept: the folder's name in the cache, module, patterns.
MANIFESTS = (
    (
        *("keda", "keda", KEDA),
        *("general/namespace.yaml", "crd/bases/*.yaml", "service_account/service_account.yaml"),
        *("rbac/role*.yaml", "metrics-server/role*.yaml", "metrics-server/*service.yaml"),
        *("manager/service.yaml", "webhooks/service.yaml", "webhooks/validation_webhooks.yaml"),
    ),
    (
        *("monitoring", "monitoring", OPERATOR),
        *("*_servicemonitors.yaml", "*_prometheusrules.yaml"),
    ),
)
FOLDERS = {KEDA: "config", OPERATOR: "example/prometheus-operator-crd"}


class MissingError(Exception):
    """This machine lacks something; the text names it and says what to do."""


def cache() -> Path:
    """Where the programs of this state of the Go files are, or will be."""
    digest = hashlib.sha256()
    for path in sorted(GO.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(GO).as_posix().encode() + b"\0" + path.read_bytes())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "reservation-worker" / "cluster" / digest.hexdigest()[:16]


def is_built(folder: Path) -> bool:
    """Whether nothing is left to build."""
    files = [*(program.file for program in PROGRAMS), *NAMES, *(one[0] for one in MANIFESTS)]
    return all((folder / file).exists() for file in files)


def build(folder: Path) -> None:
    """Build what is missing. Raises MissingError, CalledProcessError."""
    _need_go()
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for number, program in enumerate(PROGRAMS, 1):
        if (folder / program.file).exists():
            continue
        _say(f"building {program.file} ({number} of {len(PROGRAMS)}), some minutes each ...")
        new = folder / f"{program.file}.new"
        command = [
            "go",
            "build",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags",
            _flags(program.module),
        ]
        _go(program.module, *command, "-o", str(new), program.package)
        new.replace(folder / program.file)
        _say(f"  {new.name[:-4]}: {_size(folder / program.file)}, {time.monotonic() - began:.0f} s")
    for name in NAMES:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to("kube")
    for name, module, path, *patterns in MANIFESTS:
        described = json.loads(_go(module, "go", "mod", "download", "-json", path))
        source = Path(described["Dir"]) / FOLDERS[path]
        (folder / name).mkdir(exist_ok=True)
        for pattern in patterns:
            for file in source.glob(pattern):
                kept = folder / name / "-".join(file.relative_to(source).parts)
                kept.write_bytes(file.read_bytes())


def _flags(module: str) -> str:
    """The linker's: without them the API server says that it is version 0.0.0."""
    if module != "control-plane":
        return "-s -w"
    text = (GO / module / "go.mod").read_text()
    [(version, major, minor)] = re.findall(r"^\tk8s.io/kubernetes (v(\d+)\.(\d+)\S+)", text, re.M)
    at = "k8s.io/component-base/version"
    names = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X {at}.{name}={value}" for name, value in names.items())])


def _go(module: str, *command: str) -> str:
    return subprocess.run(
        ("nice", *command), cwd=GO / module, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def _need_go() -> None:
    advice = "install Go {}.{} or later, for the cluster's programs".format(*NEEDED_GO)
    if shutil.which("go") is None:
        raise MissingError(f"go is missing: {advice}")
    # In a module: an older Go may fetch the version that the module asks for.
    said = _go("control-plane", "go", "env", "GOVERSION")
    version = tuple(int(part) for part in re.findall(r"\d+", said)[:2])
    if version < NEEDED_GO:
        raise MissingError(f"{said.strip()} is too old: {advice}")


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 2**20:.0f} MiB"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """0: all is built; 1: something is missing, or with --check not built."""
    parser = argparse.ArgumentParser(prog="build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="build nothing: is all there?")
    folder = cache()
    if parser.parse_args().check:
        return 0 if is_built(folder) else 1
    try:
        if not is_built(folder):
            build(folder)
    except MissingError as error:
        _say(str(error))
        return 1
    except subprocess.CalledProcessError as error:
        _say(f"go failed with {error.returncode}: see above")
        return 1
    _say(f"the cluster's programs are in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
