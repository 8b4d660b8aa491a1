"""Checks a worker's accounts of mutated bodies among sound events: a sentence a breach. Pure."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reservation_worker.events.kinds import BY_LABEL, Commit, Kind
from reservation_worker.simulator.metrics import Metrics
from reservation_worker.simulator.reconcile.report import DeadLetter, reconcile
from reservation_worker.simulator.story.scenario import NOTHING, POISON, Scenario
from tests.fuzz.harness.fates import (
    COMPENSATION,
    DROPPED,
    INVALID_PAYLOAD,
    PERMANENT,
    SETTLED,
    Sent,
)

TARGETS = {kind.label: kind.value.target for kind in Kind}
MOST_RSS_MB = 300
LONGEST_LINE = 100_000
# Metrics that must be 0.
_NEVER = (
    ("worker_retries_total", {"reason": "bug"}),
    ("worker_retries_total", {"reason": "breaker"}),
    ("sqs_poll_errors_total", {}),
    ("worker_dead_letter_failures_total", {}),
    ("worker_delete_failures_total", {}),
    ("worker_leases_lost_total", {}),
    ("worker_in_flight", {}),
)


@dataclass(slots=True)
class Accounts:
    """The accounts of one run: neighbours, queues, log and metrics."""

    dump: Mapping[str, Any] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)
    calls: Sequence[Mapping[str, Any]] = ()
    depth: int = 0
    lines: Sequence[Mapping[str, Any]] = ()
    noise: Sequence[str] = ()
    metrics: Metrics = field(default_factory=Metrics)
    most_rss_mb: int = 0
    worst_breaker: float = 0
    health: int = 200
    exit_code: int | None = 0


def check_accounts(sent: Sequence[Sent], story: Scenario, accounts: Accounts) -> list[str]:
    """Every breach."""
    bodies = {one.message.body for one in sent}
    theirs = [letter for letter in accounts.letters if letter.body not in bodies]
    report = reconcile(story, accounts.dump, theirs, accounts.depth)
    broken = [f"{kind}: {line}" for kind, lines in report.defects.items() for line in lines]
    if report.compensations_due != report.compensations_found:
        odd = report.compensations_due ^ report.compensations_found
        broken.append(f"compensations missing or not due: {sorted(odd)}")
    broken += _fates(sent, accounts)
    broken += _calls(sent, story, accounts)
    broken += _worker(sent, story, accounts)
    return broken


def _fates(sent: Sequence[Sent], accounts: Accounts) -> list[str]:
    letters: dict[str, list[DeadLetter]] = defaultdict(list)
    for letter in accounts.letters:
        letters[letter.body].append(letter)
    broken = []
    for one in sent:
        found = letters[one.message.body]
        due = [] if one.fate in (DROPPED, SETTLED) else [one.fate]
        reasons = [letter.reason for letter in found]
        if reasons != due:
            broken.append(f"{_name(one)} must be {one.fate}, its dead letters: {reasons}")
        for letter in found:
            if not (0 < len(letter.error) <= 512 and letter.error.isprintable()):
                broken.append(f"{_name(one)}: its dlq_error is {letter.error!r:.600}")
    return broken


def _calls(sent: Sequence[Sent], story: Scenario, accounts: Accounts) -> list[str]:
    """The calls for each body's reservation, in order, and their effects."""
    calls: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for call in accounts.calls:
        calls[call["reservation_id"]].append(call)
    broken = []
    for one in sent:
        if one.fate == INVALID_PAYLOAD:
            continue
        made = sorted(calls.pop(one.reservation_id, []), key=lambda call: call["time"])
        methods = [call["method"] for call in made]
        if one.fate == DROPPED and methods:
            broken.append(f"{_name(one)}: nothing was to do, yet there were {methods}")
        elif one.fate in (PERMANENT, COMPENSATION) and methods != ["PATCH"]:
            broken.append(f"{_name(one)}: nobody knows its reservation, yet there were {methods}")
        elif one.fate == SETTLED:
            seats = BY_LABEL[one.kind].value.seats
            move = "CommitReservation" if isinstance(seats, Commit) else "ReleaseHold"
            if [method for method in methods if method != "GET"] != ["PATCH", move]:
                broken.append(f"{_name(one)}: to settle it there were {methods}")
            broken += _settled(one, made, accounts.dump["reservations"])
        asked = made[0]["body"].get("status") if made else TARGETS.get(one.kind)
        if asked != TARGETS.get(one.kind):
            broken.append(f"{_name(one)} is {one.kind}, but {asked} was asked for")
    for strange in calls.keys() - story.expected.keys():
        broken.append(f"calls for {strange!r:.150}, which no event names")
    return broken


def _settled(
    one: Sent, made: Sequence[Mapping[str, Any]], reservations: Mapping[str, Any]
) -> list[str]:
    """The facts as they arrived at the neighbours, against those that the body states."""
    record, said = one.mutant.record, one.mutant.facts
    assert record is not None
    assert said is not None
    state, rule = reservations[one.reservation_id], BY_LABEL[one.kind].value
    wanted = {
        "status": TARGETS[one.kind],
        "payment_intent_id": said["payment_intent_id"] if rule.money_taken else None,
        "error_code": said["error_code"] if rule.cancel_reason else None,
    }
    moved: Mapping[str, Any] = made[-1]["body"] if made else {}
    seats = {
        "event_id": record.event_id,
        "seat_ids": list(record.seat_ids),
        "quantity": record.quantity,
    }
    wrong = [name for name, value in wanted.items() if state[name] != value]
    wrong += [name for name, value in seats.items() if moved.get(name) != value]
    return [f"{_name(one)}: {wrong} did not arrive as it says"] if wrong else []


def _worker(sent: Sequence[Sent], story: Scenario, accounts: Accounts) -> list[str]:
    """The process: its health, its log, its metrics."""
    broken = [f"in its output, and no JSON: {line!r:.200}" for line in accounts.noise[:5]]
    for line in accounts.lines:
        text = f"{line.get('msg')} {line.get('error', '')}"
        expected = line.get("level") != "error" or line.get("msg") == "dead-lettered"
        if len(json.dumps(line)) > LONGEST_LINE:
            broken.append(f"in its log: a line of {len(json.dumps(line))} characters")
        if "traceback" in line or " has a bug" in text or not expected:
            broken.append(f"in its log: {text:.300}")
    metrics = accounts.metrics
    for name, labels in _NEVER:
        if value := metrics.value(name, **labels):
            broken.append(f"{name} {labels} is {value:g}, not 0")
    fates = Counter(one.fate for one in sent)
    kinds = Counter(message.kind for message in story.messages)
    for outcome, due in (
        ("dropped", fates[DROPPED] + kinds[NOTHING]),
        ("invalid_payload", fates[INVALID_PAYLOAD] + kinds[POISON]),
    ):
        counted = metrics.value("worker_events_total", outcome=outcome)
        if counted != due:
            broken.append(f"{counted:g} are counted as {outcome}, not {due}")
    if accounts.worst_breaker:
        broken.append("a breaker was not closed")
    if accounts.most_rss_mb > MOST_RSS_MB:
        broken.append(f"it took {accounts.most_rss_mb} MB, more than {MOST_RSS_MB}")
    if (accounts.health, accounts.exit_code) != (200, 0):
        broken.append(f"/health was {accounts.health}, the exit code {accounts.exit_code}")
    return broken


def _name(one: Sent) -> str:
    return f"{one.mutant.name} ({one.message.body[:120]!r}, {len(one.message.body)} long)"
