"""A quick selection of the fuzzing of a whole worker; tests.fuzz.harness.run does all of it.

The second half shows that the check can fail: for a worker or an account that is wrong.
"""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import pytest

from reservation_worker.simulator.metrics import Metrics
from reservation_worker.simulator.reconcile.report import DeadLetter
from tests.fuzz.harness import fates as fate
from tests.fuzz.harness.fates import Sent
from tests.fuzz.harness.worker import Run, WorkerFigures
from tests.fuzz.harness.worker_checks import Accounts, check_accounts

pytestmark = pytest.mark.usefixtures("unmeasured")


@pytest.fixture(scope="module")
def played() -> tuple[Run, WorkerFigures]:
    run = Run(150, 80, seed=1)
    return run, run.go()


def test_mutated_bodies_through_a_worker_are_settled_and_harm_no_other(
    played: tuple[Run, WorkerFigures],
):
    _, figures = played
    assert figures.ok, figures.broken
    assert figures.bodies == 150
    fates = (fate.INVALID_PAYLOAD, fate.DROPPED, fate.SETTLED, fate.PERMANENT, fate.COMPENSATION)
    assert all(figures.fates.get(name) for name in fates), figures.fates


def of_fate(run: Run, name: str) -> Sent:
    return next(one for one in run.sent if one.fate == name)


def letters(run: Run, change: Callable[[DeadLetter], list[DeadLetter]]) -> Accounts:
    """The dead letter of the first invalid body is another one."""
    body = of_fate(run, fate.INVALID_PAYLOAD).message.body
    found = [letter for letter in run.accounts.letters if letter.body != body]
    theirs = [letter for letter in run.accounts.letters if letter.body == body]
    return dataclasses.replace(run.accounts, letters=found + change(theirs[0]))


def call(run: Run, reservation_id: str) -> Accounts:
    """One more PATCH."""
    made = {"reservation_id": reservation_id, "method": "PATCH", "time": 9e9, "body": {}}
    return dataclasses.replace(run.accounts, calls=[*run.accounts.calls, made])


def ledger(run: Run, reservation_id: str, **fields: str) -> Accounts:
    """Another record."""
    dump = run.accounts.dump
    record = dump["reservations"][reservation_id] | fields
    rows = {**dump["reservations"], reservation_id: record}
    return dataclasses.replace(run.accounts, dump={**dump, "reservations": rows})


def log(run: Run, **line: str) -> Accounts:
    """One more line."""
    return dataclasses.replace(run.accounts, lines=[*run.accounts.lines, line])


def instead(letter: DeadLetter, **fields: str) -> list[DeadLetter]:
    return [dataclasses.replace(letter, **fields)]


def healthy(run: Run) -> str:
    return next(rid for rid, ends in run.story.expected.items() if "HOLD" not in ends)


RETRIED = '# TYPE worker_retries counter\nworker_retries_total{reason="bug"} 1.0\n'
WRONG_ACCOUNTS: dict[str, tuple[Callable[[Run], Any], str]] = {
    "a body lost": (lambda run: letters(run, lambda letter: []), "must be invalid_payload"),
    "a body that was retried": (
        lambda run: letters(run, lambda one: instead(one, reason="retries_exhausted")),
        "its dead letters: ['retries_exhausted']",
    ),
    "a body that came twice": (
        lambda run: letters(run, lambda one: [one, *instead(one, message_id="another")]),
        "['invalid_payload', 'invalid_payload']",
    ),
    "a body that was changed": (
        lambda run: letters(run, lambda one: instead(one, body=f"{one.body} ")),
        "was never published",
    ),
    "a dead letter without an error": (
        lambda run: letters(run, lambda one: instead(one, error="")),
        "its dlq_error is ''",
    ),
    "a call where nothing was to do": (
        lambda run: call(run, of_fate(run, fate.DROPPED).reservation_id),
        "nothing was to do, yet",
    ),
    "a second try where nobody knows the reservation": (
        lambda run: call(run, of_fate(run, fate.PERMANENT).reservation_id),
        "nobody knows its reservation, yet",
    ),
    "a call that no event asks for": (lambda run: call(run, "rsv"), "which no event names"),
    "a body that was not settled": (
        lambda run: ledger(run, of_fate(run, fate.SETTLED).reservation_id, status="HOLD"),
        "['status'] did not arrive",
    ),
    "a sound event lost": (lambda run: ledger(run, healthy(run), status="HOLD"), "lost: rsv_"),
    "messages left": (
        lambda run: dataclasses.replace(run.accounts, depth=2),
        "2 messages are left",
    ),
    "a bug in the log": (lambda run: log(run, msg="the handler has a bug"), "has a bug"),
    "a traceback": (lambda run: log(run, msg="oh", traceback="Traceback"), "in its log: oh"),
    "a line that is far too long": (lambda run: log(run, msg="x" * 10**5), "a line of 100"),
    "noise": (lambda run: dataclasses.replace(run.accounts, noise=["Killed"]), "no JSON"),
    "a retry for a bug": (
        lambda run: dataclasses.replace(run.accounts, metrics=Metrics(RETRIED)),
        "is 1, not 0",
    ),
    "a breaker": (
        lambda run: dataclasses.replace(run.accounts, worst_breaker=1),
        "a breaker was not closed",
    ),
    "memory": (lambda run: dataclasses.replace(run.accounts, most_rss_mb=900), "took 900 MB"),
    "a crash": (lambda run: dataclasses.replace(run.accounts, exit_code=-11), "exit code -11"),
}


@pytest.mark.parametrize("name", WRONG_ACCOUNTS)
def test_a_run_that_went_wrong_shows_in_its_accounts(played: tuple[Run, WorkerFigures], name: str):
    change, says = WRONG_ACCOUNTS[name]
    run, _ = played
    broken = check_accounts(run.sent, run.story, change(run))
    assert any(says in line for line in broken), broken


# The worker that runs this has a parser with a bug.
BUGGY_WORKER = """
from reservation_worker.pipeline import delivery
from tests.faults.harness.sabotage.entry import main

sound = delivery.parse

def parse(body, attributes):
    if "fuzz_" in body:
        raise KeyError("reservation_id")
    return sound(body, attributes)

delivery.parse = parse
main()
"""


def test_a_worker_whose_parser_has_a_bug_is_caught():
    command = [sys.executable, "-c", BUGGY_WORKER]
    broken = Run(20, 10, seed=1, command=command, patience=2).go().broken
    for says in ("are left in the queue", "the parser has a bug", "must be invalid_payload"):
        assert any(says in line for line in broken), broken
