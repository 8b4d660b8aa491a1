"""A server for each test, and its log."""

import logging
from collections.abc import Callable

import pytest

from tests.integration.test_health_server import rig

__all__ = ["noise", "rig"]


@pytest.fixture
def noise(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The server's log lines so far."""
    caplog.set_level(logging.WARNING)
    return lambda: [record.getMessage()[:200] for record in caplog.records]


@pytest.fixture(autouse=True, scope="module")
def not_measured(unmeasured: None) -> None:
    """The acceptance tests measure the coverage of the same processes."""
