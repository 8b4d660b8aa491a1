"""The proof's own proof: a worker that is broken on purpose is found out by the checker.

Each test runs the real worker with one sabotaged part (sabotage/*.py) under a fault scenario that
the sound worker passes (test_quick_faults.py and matrix.py), and names the invariant that breaks.
"""

import sys

import pytest

from tests.faults.case import Answers, Case, Outcome, Step
from tests.faults.matrix import freeze, run

# Not in `make test` yet: first they have to pass often enough in a row.
pytestmark = pytest.mark.slow

IN = "inventory"


def sabotaged(name: str, case: Case, events: int = 100, limit: float = 20.0) -> Outcome:
    module = f"tests.faults.sabotage.{name}"
    return run(case, events, seed=3, command=[sys.executable, "-m", module], limit=limit)


def test_a_worker_that_deletes_before_it_has_handled_is_caught_losing_events():
    case = Case(steps=(Step("kill", 0, progress=0.2), Step("kill", 0, progress=0.5)))
    found = sabotaged("delete_before_handling", case)
    assert found.broken[1], found.explain()
    assert any("it had been deleted" in line for line in found.broken[4]), found.explain()


def test_a_worker_that_releases_before_the_patch_is_caught_moving_seats_too_early():
    found = sabotaged("release_before_patch", Case())
    assert any("release while it was HOLD" in line for line in found.broken[2]), found.explain()


def test_a_worker_that_ignores_failures_in_band_is_caught_leaking_seats():
    answers = (Answers(IN, {"error_code": 16, "name": "INTERNAL in band"}, 0.3),)
    found = sabotaged("ignore_in_band_failure", Case(answers=answers))
    assert found.injected["inventory: INTERNAL in band"] > 0
    assert found.report.leaked, found.explain()
    assert found.broken[1], found.explain()


def test_a_worker_that_does_not_check_its_leases_is_caught_calling_after_they_were_lost():
    case = Case(steps=freeze(0, 0.2, 2), visibility=2, latency_ms=(100, 50))
    found = sabotaged("no_lease_check", case)
    assert any("its visibility was over" in line for line in found.broken[4]), found.explain()


def test_a_worker_that_forgets_failed_deletes_is_caught_handling_messages_again():
    case = Case({"delete_failed_sender": 0.3}, visibility=2)
    found = sabotaged("forget_failed_deletes", case, 40)
    assert found.injected["delete_failed_sender"] > 0
    assert any("was handled again" in line for line in found.broken[3]), found.explain()


def test_a_worker_that_retries_poison_is_caught_by_the_wrong_dead_letters():
    found = sabotaged("retry_poison", Case(env={"MAX_RETRIES": "1", "BACKOFF_BASE_MS": "1"}))
    assert any("poison" in line for line in found.broken[6]), found.explain()


def test_the_sound_worker_passes_under_the_faults_of_all_the_sabotages():
    case = Case(
        {"delete_failed_sender": 0.3},
        (Answers(IN, {"error_code": 16, "name": "INTERNAL in band"}, 0.2),),
        (Step("kill", 0, progress=0.2), Step("kill", 0, progress=0.5)),
        visibility=2,
        env={"BACKOFF_BASE_MS": "1"},
    )
    found = run(case, 60, seed=3, limit=40)
    assert found.ok, found.explain()
