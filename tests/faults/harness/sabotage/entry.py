"""Runs the real worker, as `reservation-worker run` does, with a sabotaged part."""

import argparse
from collections.abc import Callable
from typing import Any

from reservation_worker import bootstrap
from reservation_worker.cli import run
from reservation_worker.config.settings import Settings
from reservation_worker.worker import Worker

_build: Any = bootstrap.build


def main(overrides: Callable[[Settings], dict[str, Any]] = lambda settings: {}) -> None:
    """`overrides` makes the replacements for bootstrap.build."""

    def build(settings: Settings) -> Worker:
        built: Worker = _build(settings, **overrides(settings))
        return built

    # The verb imports it when it runs.
    vars(bootstrap)["build"] = build
    raise SystemExit(run.run(argparse.Namespace()))
