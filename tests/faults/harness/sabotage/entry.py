"""Runs the real worker with a sabotaged part: what `reservation-worker run` does, and no more."""

import argparse
from collections.abc import Callable
from typing import Any

from reservation_worker import bootstrap
from reservation_worker.cli import run
from reservation_worker.config.settings import Settings
from reservation_worker.worker import Worker

_build: Any = bootstrap.build


def main(overrides: Callable[[Settings], dict[str, Any]] = lambda settings: {}) -> None:
    """`overrides` makes what bootstrap.build is to take instead of the real parts."""

    def build(settings: Settings) -> Worker:
        built: Worker = _build(settings, **overrides(settings))
        return built

    # The verb imports it when it runs.
    vars(bootstrap)["build"] = build
    raise SystemExit(run.run(argparse.Namespace()))
