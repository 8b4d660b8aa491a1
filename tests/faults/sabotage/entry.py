"""Runs the real worker with a sabotaged part: what `reservation-worker run` does, and no more."""

import argparse
from collections.abc import Callable
from typing import Any

from reservation_worker import bootstrap as app
from reservation_worker.cli import run
from reservation_worker.config.settings import Settings

_build: Any = app.build


def main(overrides: Callable[[Settings], dict[str, Any]] = lambda settings: {}) -> None:
    """`overrides` makes what app.build is to take instead of the real parts."""

    def build(settings: Settings) -> app.App:
        built: app.App = _build(settings, **overrides(settings))
        return built

    # The verb imports it when it runs.
    vars(app)["build"] = build
    raise SystemExit(run.run(argparse.Namespace()))
