"""The whole system as processes: one a file, as new for each test."""

from collections.abc import Iterator

import pytest

from tests.world import World


@pytest.fixture(scope="module")
def system() -> Iterator[World]:
    with World() as made:
        yield made


@pytest.fixture
def world(system: World) -> Iterator[World]:
    yield system
    system.renew()
