"""A worker with a bug: its handlers' errors quote the whole environment.

With the argument `unredacted` its log hides nothing, which proves that the search works.
"""

import os
import sys
from typing import Any, NoReturn

from reservation_worker.config import redaction
from reservation_worker.config.settings import Settings
from reservation_worker.events.kinds import Kind
from tests.faults.harness.sabotage.entry import main


def _fail(*_: object) -> NoReturn:
    raise RuntimeError(f"a bug: {sorted(dict(os.environ).items())}")


def overrides(settings: Settings) -> dict[str, Any]:
    return {"handlers": dict.fromkeys(Kind, _fail)}


if __name__ == "__main__":
    if "unredacted" in sys.argv:
        vars(redaction)["Redactor"].__call__ = lambda self, text: text
    main(overrides)
