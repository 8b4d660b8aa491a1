"""For the tests of the settlement."""

import pytest

from tests.unit.handlers.scene import Scene


@pytest.fixture
def scene() -> Scene:
    return Scene()
