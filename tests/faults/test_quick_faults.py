"""A quick selection of the fault scenarios; `python -m tests.faults.harness.matrix` runs them all.

Each run decides the invariants by itself, from the neighbours' ledgers, the queues and the proxy's
record. A failure prints what is needed to repeat it.
"""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from reservation_worker.clients.http import HttpTransport
from reservation_worker.errors import TransientError
from tests.faults.harness.case import Case, Outcome
from tests.faults.harness.machine import FULL_DISK, libfaketime
from tests.faults.harness.matrix import ALL_SQS, CASES, freeze, run

pytestmark = pytest.mark.usefixtures("unmeasured")
QUICK = {"BACKOFF_BASE_MS": "1"}


def holds(name: str | Case, events: int, *injected: str) -> None:
    case = CASES[name] if isinstance(name, str) else name
    sound(run(replace(case, visibility=3, env=QUICK | dict(case.env)), events), *injected)


def sound(outcome: Outcome, *injected: str) -> None:
    assert outcome.ok, outcome.explain()
    missing = [fault for fault in injected if not outcome.injected.get(fault)]
    assert not missing, f"never injected: {missing}\n{outcome.explain()}"


def test_all_faults_of_sqs_at_once_break_no_invariant():
    # A hang costs six seconds, so only the whole matrix has it.
    faults = {name: rate for name, rate in ALL_SQS.items() if name != "hang"}
    often = dict.fromkeys(("duplicate_delivery", "duplicate_after_delete", "reorder"), 0.2)
    holds(Case(faults | often), 100, "delete_failed_server", "reset_after", *often)


@pytest.mark.parametrize("character", ["", "today: "])
def test_whatever_the_neighbours_answer_each_event_is_settled_once(character: str):
    case = CASES[f"{character}neighbours: every false answer"]
    outcome = run(replace(case, visibility=3, env=QUICK | dict(case.env)), 80)
    sound(outcome)
    # Each kind is rare, and may be missing in so short a run.
    for neighbour in ("reservation: ", "inventory: "):
        assert sum(n for name, n in outcome.injected.items() if name.startswith(neighbour))


def test_a_worker_frozen_beyond_its_leases_starts_no_call_for_lost_messages():
    case = Case({"stale_works": 1.0}, (), freeze(0, 0.3, 3), workers=1, latency_ms=(60, 50))
    holds(case, 100, "freeze", "thaw")


def test_a_full_disk_under_its_log_changes_neither_the_work_nor_the_exit_code():
    holds(Case(machine=(FULL_DISK,), workers=1), 40, "exit 0")


@pytest.mark.parametrize("load", ["under load", "with one message"])
def test_an_outage_that_todays_inventory_calls_internal_dead_letters_nothing(load: str):
    holds(f"today: inventory: INTERNAL {load}", 100, "inventory: trouble")


def test_killed_at_random_moments_two_workers_lose_nothing_with_todays_neighbours():
    holds("today: process: SIGKILL", 80, "kill")


def test_a_quantity_whose_key_is_forgotten_is_left_to_a_person_and_never_freed_twice():
    outcome = run("today: inventory: keys are forgotten", 40)
    sound(outcome, "inventory: INTERNAL after")
    assert outcome.report.releases_to_check


def test_dead_letters_go_to_the_queue_that_the_redrive_policy_names_now():
    holds("sqs: the dead-letter queue is another", 30, "move_dlq")


def test_a_visibility_timeout_that_was_lowered_is_the_lease_from_then_on():
    sound(run("sqs: the visibility timeout is lowered", 40), "visibility")


@pytest.mark.skipif(not libfaketime(), reason="libfaketime is not installed")
def test_a_clock_that_steps_by_hours_moves_no_lease():
    holds("machine: the clock steps", 60, "clock")


@pytest.fixture
def breaks_off() -> Iterator[str]:
    """A server that announces ten bytes, sends two and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 400 Bad\r\nContent-Length: 10\r\n\r\n{}")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(5)


def test_a_body_that_breaks_off_is_an_outage_and_not_a_final_answer(breaks_off: str):
    transport = HttpTransport(breaks_off, 1)
    with pytest.raises(TransientError, match="broke off"):
        transport.request("PATCH", "/", 2.0, {})
    transport.close()
