"""Peers in the benchmarks: their messages, their rows and their table."""

import json
import subprocess
from base64 import b64decode
from pathlib import Path

import pytest

from benchmarks import bench
from benchmarks.contestants import CONTESTANTS, OURS, PEERS, SQS_CONSUMER
from benchmarks.peers import install
from benchmarks.report import peer_table
from benchmarks.rows import GOALS, ROWS, Row, Setup
from benchmarks.stubs.envelopes import FORMS
from benchmarks.stubs.queue import NAME, body


def test_each_form_carries_the_same_event() -> None:
    event = json.loads(body(7))
    dramatiq = json.loads(b64decode(FORMS["dramatiq"](7)))
    assert (dramatiq["queue_name"], dramatiq["actor_name"]) == (NAME, "settle")
    assert dramatiq["args"] == [event]
    celery = json.loads(b64decode(FORMS["celery"](7)))
    assert celery["headers"]["task"] == "settle"
    assert celery["properties"]["delivery_info"]["routing_key"] == NAME
    assert json.loads(b64decode(celery["body"]))[:2] == [[event], {}]
    assert json.loads(FORMS["plain"](7)) == event


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_no_two_messages_of_a_form_are_the_same(form: object) -> None:
    assert callable(form)
    assert len({form(number) for number in range(100)}) == 100


def test_every_peer_has_two_rows_and_a_goal_and_says_what_it_lacks() -> None:
    for peer in PEERS:
        rows = [row for row in ROWS if row.contestant == peer.name]
        assert [row.setup.latency_ms for row in rows] == [0, 40]
        assert all(row.setup.spans is None and row.setup.concurrency == 20 for row in rows)
        assert rows[1].name in {goal.against for goal in GOALS}
        assert peer.settings
        assert peer.lacks
        assert peer.form in FORMS


def test_the_peers_rows_bring_those_of_ours_along() -> None:
    found = bench.chosen(["peer sqs-consumer"], quick=False)
    assert [row.name for row in found] == [
        "40 ms, all spans",
        "40 ms, no spans",
        "0 ms, no spans",
        "peer sqs-consumer, 0 ms",
        "peer sqs-consumer, 40 ms",
    ]
    named = {row.name: row for row in ROWS}
    for row in found:
        if row.beside:
            ours = named[row.beside[0]]
            assert (ours.setup, ours.events, ours.contestant) == (row.setup, row.events, OURS.name)


def test_the_quick_form_has_no_peers() -> None:
    assert {row.contestant for row in bench.chosen([], quick=True)} == {OURS.name}


def test_a_peer_that_can_not_be_installed_is_not_measured_and_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(bench, "install", lambda _say: {"node": "npm is missing"})
    monkeypatch.setattr(
        bench, "ROWS", tuple(row for row in ROWS if row.contestant == SQS_CONSUMER.name)
    )
    monkeypatch.setattr(
        bench, "measure", lambda rows, *_, **__: ({row.name: [] for row in rows}, {})
    )
    assert bench.main(["--rounds", "1", "--out", str(tmp_path)]) == 0
    assert "not measured: peer sqs-consumer, 40 ms: npm is missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (FileNotFoundError(2, "none", "npm"), "npm is missing"),
        (
            subprocess.CalledProcessError(1, ["pip", "install"], stderr="no network\n"),
            "pip install failed: no network",
        ),
    ],
)
def test_a_failed_install_says_why_and_is_tried_again(
    error: Exception, why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[Path] = []

    def fail(place: Path) -> None:
        made.append(place)
        raise error

    def work(place: Path) -> None:
        made.append(place)
        place.mkdir(parents=True)

    monkeypatch.setattr(install.shutil, "which", lambda tool: tool)
    monkeypatch.setattr(install, "HOME", tmp_path)
    monkeypatch.setattr(install, "MODULES", tmp_path / "node/node_modules")
    for installer, expected, count in ((fail, {"node": why}, 2), (work, {}, 3), (fail, {}, 3)):
        monkeypatch.setattr(install, "_INSTALL", {"python": work, "node": installer})
        assert install.install(lambda _text: None) == expected
        assert len(made) == count


def test_nothing_of_a_private_registry_is_in_the_lock() -> None:
    lock = json.loads((install.PINS / "node/package-lock.json").read_text())
    assert not [one for one in lock["packages"].values() if "resolved" in one]


def test_the_peers_table_shows_ratios_to_ours_and_what_is_lacking() -> None:
    ours = {"events_per_s": 200.0, "cpu_ms": 1.5, "rss_mb": 80.0}
    rows = [
        Row("base", "settle", Setup(), 1),
        Row("peer", "settle", Setup(), 1, contestant="textbook", beside=("base",)),
        Row("unmeasured", "settle", Setup(), 1, contestant="textbook", beside=("base",)),
    ]
    peer = {"events_per_s": 100.0, "cpu_ms": 3.0, "rss_mb": 160.0}
    lacks = {"textbook": CONTESTANTS["textbook"].lacks}
    lines = peer_table({"base": ours, "peer": peer}, rows, lacks).splitlines()
    assert lines[0] == "| row | events/s | CPU ms/event | RSS MB | what it lacks |"
    assert lines[2:] == [f"| peer | 100 (0.5x) | 3 (2x) | 160 (2x) | {lacks['textbook']} |"]
    alone = peer_table({"peer": peer}, rows, lacks).splitlines()
    assert alone[2].startswith("| peer | 100 | 3 | 160 |")
