"""The import rules of the package's rooms, as data."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import reservation_worker

ROOT = Path(reservation_worker.__file__).parent
US = "reservation_worker"

STDLIB = frozenset(sys.stdlib_module_names)
HTTP = ("requests", "urllib3", "httpx", "http", "urllib", "flask", "waitress", "werkzeug")


@dataclass(frozen=True)
class Rule:
    """`only`: nothing but these; `never`: not these either. A name includes its submodules."""

    only: frozenset[str] | None = None
    never: tuple[str, ...] = ()


def ours(*names: str) -> frozenset[str]:
    return frozenset(f"{US}.{name}" for name in names)


# The imports that each room must not have. A module at the top is a room, too.
ROOMS = {
    "errors": Rule(only=STDLIB),
    "outcome": Rule(only=STDLIB),
    "events": Rule(only=STDLIB | ours("errors", "events")),
    "handlers": Rule(
        only=STDLIB | ours("handlers", "clients.ports", "errors", "events", "outcome"),
        never=("os", "threading", "asyncio", "multiprocessing", "concurrent", "socket", *HTTP),
    ),
    "clients": Rule(never=(f"{US}.handlers", f"{US}.pipeline")),
    "resilience": Rule(only=STDLIB | ours("resilience", "errors")),
    "sqs": Rule(never=("grpc", *HTTP)),
    "pipeline": Rule(never=("grpc", *HTTP, "os.environ", "os.getenv")),
    "observability": Rule(never=(f"{US}.handlers",)),
    "status": Rule(never=(f"{US}.handlers",)),
    "servers": Rule(never=(f"{US}.handlers",)),
    "cli": Rule(never=(f"{US}.pipeline",)),
}

# The only rooms that may import a room; the other rooms are open to all.
IMPORTERS = {
    "simulator": {"cli"},
    "stubs": {"clients", "servers", "simulator"},
    "bootstrap": {"cli"},
    "worker": {"bootstrap"},
    "cli": {"__main__"},
}


def imports(source: str, package: str) -> Iterator[str]:
    """Every dotted name that a module imports, wherever in it, or reads of `os`.

    `package` is the one that the module is in, for imports relative to it.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")[: -node.level + 1 or None]
                base = ".".join([*parts, base] if base else parts)
            # The name may be a module of the package: from grpc import aio.
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "os":
                yield f"os.{node.attr}"
        elif isinstance(node, ast.Call) and node.args:
            function = ast.unparse(node.func).rpartition(".")[2]
            first = node.args[0]
            if function in ("import_module", "__import__") and isinstance(first, ast.Constant):
                yield str(first.value)


def below(name: str, roots: frozenset[str] | tuple[str, ...]) -> bool:
    """Whether `name` is one of `roots` or in it."""
    parts = name.split(".")
    return any(".".join(parts[:count]) in roots for count in range(1, len(parts) + 1))


def forbidden(room: str, source: str, package: str = "") -> list[str]:
    """The forbidden imports of a module of `room`."""
    rule = ROOMS.get(room, Rule())
    found = []
    for name in imports(source, package or f"{US}.{room}"):
        wrong = below(name, rule.never) or (rule.only is not None and not below(name, rule.only))
        for target, importers in IMPORTERS.items():
            wrong |= below(name, (f"{US}.{target}",)) and room not in {target, *importers}
        if wrong or below(name, ("tests",)):
            found.append(name)
    return found


def violations(root: Path) -> list[str]:
    """The violations in the package at `root`, a line each."""
    lines = []
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        package = ".".join([US, *inside.parts[:-1]])
        room = inside.parts[0].removesuffix(".py")
        names = forbidden(room, path.read_text(), package)
        lines += [f"{inside} imports {name}" for name in names]
    return lines


def test_no_room_breaks_its_import_rules() -> None:
    assert violations(ROOT) == []


def dependencies(root: Path) -> dict[str, set[str]]:
    """The rooms that each room of the package at `root` imports."""
    found: dict[str, set[str]] = {}
    for path in sorted(root.rglob("*.py")):
        inside = path.relative_to(root)
        room = inside.parts[0].removesuffix(".py")
        names = imports(path.read_text(), ".".join([US, *inside.parts[:-1]]))
        ours = {name.split(".")[1] for name in names if name.startswith(f"{US}.")}
        found.setdefault(room, set()).update(ours - {room})
    return found


def test_the_rooms_have_no_import_cycle() -> None:
    order = list(TopologicalSorter(dependencies(ROOT)).static_order())
    assert order.index("errors") < order.index("pipeline") < order.index("bootstrap")


def test_an_import_cycle_of_two_rooms_is_reported(tmp_path: Path) -> None:
    for room, other in (("pipeline", "status"), ("status", "pipeline")):
        path = tmp_path / room / "module.py"
        path.parent.mkdir()
        path.write_text(f"def late():\n    from {US}.{other} import module\n")
    with pytest.raises(CycleError):
        TopologicalSorter(dependencies(tmp_path)).prepare()


def test_every_room_named_in_the_rules_exists() -> None:
    rooms = {path.name.removesuffix(".py") for path in ROOT.iterdir()}
    assert set(ROOMS) | set(IMPORTERS) <= rooms


# The check reports violations.


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("events", "import boto3"),
        ("events", "from reservation_worker.outcome import Ack"),
        ("outcome", "from reservation_worker.events.parse import Event"),
        ("handlers", "import threading"),
        ("handlers", "from os import environ"),
        ("handlers", "from concurrent.futures import ThreadPoolExecutor"),
        ("handlers", "import grpc.aio"),
        ("handlers", "from reservation_worker.clients.inventory import InventoryClient"),
        ("handlers", "from reservation_worker.clients import reservation"),
        ("handlers", "from reservation_worker.sqs.queue import Queue"),
        ("handlers", "from ..clients.http import HttpTransport"),
        ("clients", "from reservation_worker import handlers"),
        ("clients", "from reservation_worker.pipeline.breakers import Breakers"),
        ("resilience", "import backoff"),
        ("resilience", "from reservation_worker.clients.ports import CallContext"),
        ("pipeline", "import os\nqueue = os.environ['SQS_QUEUE_URL']"),
        ("pipeline", "import os\nqueue = os.getenv('SQS_QUEUE_URL')"),
        ("pipeline", "from os import environ as settings"),
        ("pipeline", "def late():\n    import requests"),
        ("pipeline", "from urllib.request import urlopen"),
        ("pipeline", "import importlib\nimportlib.import_module('grpc')"),
        ("pipeline", "if TYPE_CHECKING:\n    from flask import Flask"),
        ("observability", "from reservation_worker.handlers.settlement import HANDLERS"),
        ("servers", "from ..handlers import settlement"),
        ("cli", "from reservation_worker.pipeline import poller"),
        ("bootstrap", "import reservation_worker.simulator.neighbours.stock"),
        ("pipeline", "from reservation_worker.stubs.proto.common.v1 import types_pb2"),
        ("pipeline", "from reservation_worker.bootstrap import build"),
        ("pipeline", "from reservation_worker.worker import Worker"),
        ("sqs", "import urllib3"),
        ("bootstrap", "from reservation_worker.cli.main import main"),
        ("bootstrap", "from tests.fakes import FakeInventory"),
    ],
)
def test_a_violation_is_reported(room: str, source: str) -> None:
    assert forbidden(room, source)


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("events", "import json\nfrom reservation_worker.errors import InvalidEvent"),
        ("handlers", "from reservation_worker.clients.ports import Seats"),
        ("handlers", "from dataclasses import dataclass"),
        ("clients", "import grpc"),
        ("pipeline", "import boto3\nfrom reservation_worker.handlers.settlement import Neighbours"),
        ("pipeline", "import os\nos.path.join('a')"),
        ("pipeline", "from grpcio_like import thing"),
        ("servers", "from flask import Flask"),
        ("cli", "from reservation_worker.simulator.processes import SqsProcess"),
        ("cli", "from reservation_worker.bootstrap import build"),
        ("simulator", "from reservation_worker.stubs.proto.common.v1 import types_pb2"),
    ],
)
def test_an_allowed_import_is_not_reported(room: str, source: str) -> None:
    assert forbidden(room, source) == []


def test_a_violation_is_found_wherever_it_is_in_the_package(tmp_path: Path) -> None:
    for name in ("handlers/deep/er.py", "handlers/fine.py", "outcome.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import json\n")
    (tmp_path / "handlers/deep/er.py").write_text("from ...clients import http\n")
    (tmp_path / "outcome.py").write_text("import requests\n")
    assert violations(tmp_path) == [
        "handlers/deep/er.py imports reservation_worker.clients.http",
        "outcome.py imports requests",
    ]
