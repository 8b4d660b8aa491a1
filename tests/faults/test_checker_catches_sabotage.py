"""The checker finds each worker that is broken on purpose; test_quick_faults.py has sound ones."""

import pytest

from tests.faults.harness.sabotages import SABOTAGES, caught, run_sabotaged

pytestmark = pytest.mark.usefixtures("unmeasured")


@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_the_checker_catches_a_worker_that(sabotage: str):
    found = run_sabotaged(SABOTAGES[sabotage])
    assert caught(SABOTAGES[sabotage], found), found.explain()
