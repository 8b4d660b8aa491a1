"""A breaker for each test."""

import pytest

from tests.unit.resilience.breaker_world import World


@pytest.fixture
def world() -> World:
    return World()
