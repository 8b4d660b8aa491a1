"""The checks behind /health and /ready."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reservation_worker.pipeline.assembly import Pipeline

POLL_ERRORS = 3
"""The number of failed receives in a row that turns /ready red."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a probe: its name, whether it passes, and a sentence for people."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Probes:
    """Checks live state. `deadline` is the limit of a message's whole handling, in seconds.

    `refused` returns a sentence for each action that AWS refuses for lack of rights.
    """

    pipeline: Pipeline
    deadline: float
    draining: Callable[[], bool]
    refused: Callable[[], Mapping[str, str]]

    def health(self) -> list[Check]:
        """The checks of /health: red only where a restart would help."""
        # While draining the poller has ended on purpose.
        late = self.pipeline.poller.late() and not self.draining()
        overdue = self.pipeline.dispatcher.overdue(self.deadline)
        threads = self.pipeline.dispatcher.concurrency
        return [
            Check("poller", not late, "late or dead" if late else "polling"),
            Check(
                "threads",
                overdue < threads,
                f"{overdue:,} of {threads:,} are beyond a message's deadline of"
                f" {self.deadline:g} s",
            ),
        ]

    def ready(self) -> list[Check]:
        """The checks of /ready: red while no event gets through and a restart would not help."""
        poller = self.pipeline.poller
        failing = poller.errors_in_a_row
        refused = self.refused()
        draining = self.draining()
        checks = [
            Check(
                "queue",
                poller.has_received and failing < POLL_ERRORS,
                f"{failing:,} receives failed in a row"
                if failing
                else "received"
                if poller.has_received
                else "no receive has succeeded yet",
            ),
            Check("draining", not draining, "stopping" if draining else "no"),
            Check("rights", not refused, "; ".join(refused.values()) or "nothing is refused"),
        ]
        for name, state in self.pipeline.breakers.states().items():
            shown = state.name.lower().replace("_", "-")
            checks.append(Check(f"breaker_{name}", shown != "open", shown))
        return checks
