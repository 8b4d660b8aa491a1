"""Removes files that the worker never reads from site-packages; compiles the modules it imports.

The image's build runs it with the environment's own Python (with -P). Prints what it removed.
"""

import importlib
import json
import py_compile
import shutil
import sys
import sysconfig
from pathlib import Path

SERVICES = {"sqs", "sts", "secretsmanager", "sns", "events", "kms", "sso", "sso-oidc"}
"""The services that the worker, its commands and boto3's credential chain call."""
IMPORTED = (
    "reservation_worker.bootstrap",
    "reservation_worker.config.sources",
    "reservation_worker.cli.main",
    "reservation_worker.cli.worker_http",
    # Loaded when there is a collector.
    "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
)
"""Compiled here, because a read-only container can't keep compiled files and would compile at
every start."""


def main() -> int:
    packages = Path(sysconfig.get_paths()["purelib"])
    data = (packages / "botocore" / "data").iterdir()
    surplus = {
        "AWS services that are never called": [
            service for service in data if service.is_dir() and service.name not in SERVICES
        ],
        "tests": [*packages.rglob("tests"), *packages.rglob("test")],
        "examples": [packages / "boto3" / "examples"],
    }
    print(f"{trim(packages / 'botocore/data/endpoints.json') // 1024:>7} KiB  their endpoints")
    for what, directories in surplus.items():
        print(f"{sum(map(remove, directories)) // 1024:>7} KiB  {what}")
    for name in IMPORTED:
        importlib.import_module(name)
    # Unchecked, because copying a file may change its time.
    for module in tuple(sys.modules.values()):
        source = getattr(module, "__file__", None)
        if source and source.endswith(".py") and packages in Path(source).parents:
            py_compile.compile(
                source, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
            )
    return 0


def trim(endpoints: Path) -> int:
    """Keep only SERVICES in the table of endpoints; returns the bytes removed.

    Each process reads the whole table, which takes 7 MB of memory.
    """
    before = endpoints.stat().st_size
    table = json.loads(endpoints.read_text())
    for partition in table["partitions"]:
        services = partition["services"]
        partition["services"] = {one: services[one] for one in sorted(SERVICES & services.keys())}
    endpoints.write_text(json.dumps(table))
    return before - endpoints.stat().st_size


def remove(directory: Path) -> int:
    """Remove it; returns its size in bytes."""
    size = sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
    shutil.rmtree(directory, ignore_errors=True)
    return size


if __name__ == "__main__":
    sys.exit(main())
