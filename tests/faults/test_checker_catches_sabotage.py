"""The checker finds each worker that is broken on purpose."""

import pytest

from tests.faults.harness.case import Answers, Case, Step
from tests.faults.harness.matrix import run
from tests.faults.harness.neighbour_cases import IN
from tests.faults.harness.sabotages import SABOTAGES, SEED, caught, run_sabotaged


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_the_checker_catches_a_worker_that(sabotage: str):
    found = run_sabotaged(SABOTAGES[sabotage])
    assert caught(SABOTAGES[sabotage], found), found.explain()


def test_the_sound_worker_passes_under_the_faults_of_all_the_sabotages():
    case = Case(
        {"delete_failed_sender": 0.3},
        (Answers(IN, {"error_code": 16, "name": "INTERNAL in band"}, 0.2),),
        (Step("kill", 0, progress=0.2), Step("kill", 0, progress=0.5)),
        workers=1,
        visibility=2,
        env={"BACKOFF_BASE_MS": "1"},
    )
    found = run(case, 60, SEED, limit=40)
    assert found.ok, found.explain()
