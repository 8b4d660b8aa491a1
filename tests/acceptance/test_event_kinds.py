"""docs/event-kinds.md, followed to the letter on a copy of the tree: its kind is settled."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from reservation_worker.simulator.neighbours.reservations import Record
from reservation_worker.simulator.sqs.emulator import CREDENTIALS, REGION
from reservation_worker.simulator.sqs.provision import BUS
from tests.world import World, until

pytestmark = pytest.mark.usefixtures("unmeasured")

ROOT = Path(__file__).parents[2]
TESTS_OF_KINDS = "tests/unit/events/test_kinds.py"


class Tree:
    """A copy of what the guide is about, and the guide's code blocks in their order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name in ("reservation_worker", "tests", "docs", "k8s"):
            ignored = shutil.ignore_patterns("__pycache__", "screenshots", "charts")
            shutil.copytree(ROOT / name, path / name, ignore=ignored)
        shutil.copy(ROOT / "setup.cfg", path)
        guide = (path / "docs/event-kinds.md").read_text()
        blocks = re.findall(r"^ +```\w+\n(.*?)^ +```", guide, re.DOTALL | re.MULTILINE)
        # Three columns of the indentation belong to the list's item.
        self.member, self.rule, self.event, self.settlement = (
            re.sub("^   ", "", block, flags=re.MULTILINE) for block in blocks
        )

    def insert_below(self, name: str, text: str, pattern: str) -> None:
        """Put `text` below the last match of `pattern` in the file."""
        file = self.path / name
        before = file.read_text()
        last = list(re.finditer(pattern, before, re.MULTILINE | re.DOTALL))[-1].end()
        file.write_text(before[:last] + text + before[last:])

    def declare(self) -> None:
        """Step 1."""
        member = r"^    [A-Z]+ = Declaration\(\n.*?^    \)\n"
        self.insert_below("reservation_worker/events/kinds.py", self.member, member)

    def list_elsewhere(self) -> None:
        """Steps 2 and 3."""
        types = r"^        detail-type:\n(?: {10}- [^\n]+\n)+"
        self.insert_below("k8s/aws/queues.yaml", self.rule, types)
        for heading, row in (("## Events", self.event), ("## Settlement", self.settlement)):
            table = rf"^{heading}\n(?:(?!^#)[^\n]*\n)*?(?:\|[^\n]*\n)+"
            self.insert_below("docs/contract.md", row, table)

    def run(
        self, *arguments: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`python -m ...` in the copy."""
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(self.path), **(env or {})},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    made = Tree(tmp_path_factory.mktemp("kinds") / "tree")
    made.declare()
    return made


def test_a_kind_that_is_only_declared_is_missed_in_the_rule_and_in_the_contract(
    tree: Tree,
) -> None:
    found = tree.run("pytest", "-q", "-p", "no:cacheprovider", TESTS_OF_KINDS)
    assert found.returncode == 1, found.stdout + found.stderr
    failed = set(re.findall(r"^FAILED \S+::(\w+)", found.stdout, re.MULTILINE))
    assert failed == {
        "test_the_contract_lists_each_type_with_its_label_and_its_notification",
        "test_the_contract_lists_the_effects_of_each_kind_and_the_meaning_of_a_refusal",
        "test_the_rule_of_the_manifests_lets_every_type_through_and_nothing_else",
    }
    assert "EventBridge would not deliver ['refund.completed', 'RefundCompleted']" in found.stdout


def test_the_kind_of_the_guide_is_published_delivered_settled_and_notified(
    tree: Tree, world: World
) -> None:
    tree.list_elsewhere()
    checked = tree.run("pytest", "-q", "-p", "no:cacheprovider", TESTS_OF_KINDS)
    assert checked.returncode == 0, checked.stdout

    env = {**CREDENTIALS, "AWS_ENDPOINT_URL": world.sqs.url, "AWS_REGION": REGION}
    provision = "reservation_worker.simulator.sqs.provision"
    made = tree.run(provision, "--endpoint-url", world.sqs.url)
    assert made.returncode == 0, made.stderr
    publish = ["reservation_worker", "publish", "--type=refunded", "--variant=all", "--count=5"]
    publish += ["--prefix=refund", f"--bus={BUS}"]
    # The reservations that `publish` makes up for this prefix.
    made_up = (Record(f"refund-{n}", "show-refund", (f"{n}A", f"{n}B")) for n in range(1, 6))
    world.neighbours.seed(made_up)
    topic, url = world.subscribed_topic()
    worker = world.run_worker(NOTIFICATION_TOPIC_ARN=topic, PYTHONPATH=str(tree.path))
    sent = tree.run(*publish, env=env)
    assert sent.returncode == 0, sent.stderr

    def settled() -> float:
        return worker.metrics().value("worker_events_total", type="refunded", outcome="success")

    until(lambda: settled() == 5, 60, "all are settled")
    assert worker.metrics().settled() == 5
    reservations = world.neighbours.ledger()["reservations"]
    assert {one["status"] for one in reservations.values()} == {"CANCELLED"}
    assert world.released() == dict.fromkeys(reservations, 1)
    worker.signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    ids = [one["id"] for one in world.notifications(url)]
    assert sorted(ids) == [f"reservation_refunded:{rid}" for rid in sorted(reservations)]
