"""Workers on a fake queue, their debug clients, and the log."""

from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger

from tests.integration.debug_rig import Client, MakeClient
from tests.integration.worker_rig import MakeWorker, Worker


@pytest.fixture
def worker() -> Iterator[MakeWorker]:
    made: list[Worker] = []

    def make(**changes: Any) -> Worker:
        made.append(Worker(**changes))
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def client(worker: MakeWorker) -> Iterator[MakeClient]:
    made: list[Client] = []

    def make(**changes: Any) -> Client:
        made.append(Client(worker(**{"grpc_debug_allow_write": True} | changes)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged from here on."""
    written: list[str] = []
    sink = logger.add(written.append, format="{message}")
    yield written
    logger.remove(sink)
