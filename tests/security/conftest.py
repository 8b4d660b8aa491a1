"""A server of its own for each test, and what it writes into the log."""

import logging
from collections.abc import Callable

import pytest

from tests.integration.test_health_server import rig

__all__ = ["noise", "rig"]


@pytest.fixture
def noise(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What the server wrote into the log so far."""
    caplog.set_level(logging.WARNING)
    return lambda: [record.getMessage()[:200] for record in caplog.records]
