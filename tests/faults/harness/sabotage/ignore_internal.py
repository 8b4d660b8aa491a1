"""Sabotage: INTERNAL is taken for an answer about the message, so no breaker hears of it."""

from collections.abc import Callable
from typing import Any

from reservation_worker.clients.ports import CallContext
from reservation_worker.config.settings import Settings
from reservation_worker.errors import PermanentError, TransientError
from reservation_worker.pipeline import assembly
from reservation_worker.pipeline.neighbours import GuardedNeighbours
from tests.faults.harness.sabotage.entry import main


class DeafToInternal(GuardedNeighbours):
    def _call(self, neighbour: str, span: str, call: Callable[[CallContext], Any]) -> Any:
        unheard: list[TransientError] = []

        def disguised(context: CallContext) -> Any:
            try:
                return call(context)
            except TransientError as error:
                if "INTERNAL" not in str(error):
                    raise
                error.neighbour = neighbour
                unheard.append(error)
                raise PermanentError("disguised") from error

        try:
            return super()._call(neighbour, span, disguised)
        except PermanentError:
            if unheard:
                raise unheard[0] from None
            raise


def overrides(settings: Settings) -> dict[str, Any]:
    vars(assembly)["GuardedNeighbours"] = DeafToInternal
    return {}


if __name__ == "__main__":
    main(overrides)
