"""The demo as a new user runs it, smaller."""

import json
import subprocess
import sys


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reservation_worker", "demo", "--events", "150", *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_the_demo_ends_with_a_reconciled_ledger_and_exits_0():
    ended = run_demo()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Everything reconciles." in ended.stdout


def test_the_demo_as_json_is_one_object_with_the_reconciliation():
    ended = run_demo("--json", "--seed", "3", "--latency-ms", "5")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    result = json.loads(ended.stdout)
    assert result["ok"]
    found = result["reconciliation"]
    assert found["compensations_due"] == found["compensations_found"] != []
    assert [found[kind] for kind in ("oversold", "leaked", "lost", "doubled")] == [[], [], [], []]
