"""Rigs that end with their test, and the log lines of a test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loguru import logger

from reservation_worker.events.parse import Event
from reservation_worker.outcome import Outcome
from reservation_worker.pipeline import poller as poller_module
from tests.unit.pipeline.poller_rig import MakePoller, PollerRig
from tests.unit.pipeline.pool_rig import MakePool, Pool
from tests.unit.pipeline.rig import CompleterRig, MakeRig, ProcessorRig


@pytest.fixture
def rig() -> Iterator[CompleterRig]:
    made = CompleterRig()
    yield made
    made.end()


@pytest.fixture
def make() -> Iterator[MakeRig]:
    """Makes a processor with a given handler."""
    made: list[ProcessorRig] = []

    def make(handler: Callable[[Event], Outcome]) -> ProcessorRig:
        made.append(ProcessorRig(handler))
        return made[-1]

    yield make
    for one in made:
        one.end()


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """The log so far: level, msg and the bound fields of each line."""
    found: list[dict[str, Any]] = []

    def sink(message: Any) -> None:
        record = message.record
        line = {"level": record["level"].name, "msg": record["message"]}
        found.append(line | record["extra"])

    number = logger.add(sink, level="DEBUG")
    yield found
    logger.remove(number)


@pytest.fixture
def pool() -> Iterator[MakePool]:
    made: list[Pool] = []

    def make(concurrency: int) -> Pool:
        made.append(Pool(concurrency))
        return made[-1]

    yield make
    for one in made:
        one.dispatcher.close()
        one.let_all_go()
        one.dispatcher.shutdown()


@pytest.fixture
def poller(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePoller]:
    # Rounds without a receive are short here, and clocks stand still: nothing depends on them.
    monkeypatch.setattr(poller_module, "IDLE", 0.01)
    made: list[PollerRig] = []

    def make(**options: int) -> PollerRig:
        made.append(PollerRig(**options))
        return made[-1]

    yield make
    for one in made:
        one.end()
