"""Handles the events of the debug server, which came by no queue, by the same rules."""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from reservation_worker.errors import NotNow
from reservation_worker.events.parse import parse
from reservation_worker.outcome import Outcome
from reservation_worker.pipeline.assembly import Pipeline
from reservation_worker.pipeline.delivery import Delivery
from reservation_worker.pipeline.leases import Lease
from reservation_worker.sqs.queue import Message


@dataclass(eq=False)
class DirectHandler:
    """Handles an event in its caller's thread, without a slot of the pool and without a message.

    `deadline`, in seconds, takes the place of a message's lease and is not renewed.
    """

    pipeline: Pipeline
    deadline: float
    clock: Callable[[], float]
    _running: set[Lease] = field(default_factory=set, init=False)

    def handle(self, body: str, attempt: int, patience: float) -> tuple[Outcome, str]:
        """The outcome of the event in `body` on its try number `attempt`, and its trace id.

        Waits at most `patience` seconds for another of the same reservation to end. Raises
        InvalidEvent, and NotNow when the reservation stays busy or the worker stops.
        """
        message = Message(f"debug-{uuid4()}", "", body, receive_count=attempt)
        lease = Lease("", float("inf"), renew_until=0.0)
        delivery = Delivery(message, parse(body), lease, self.clock())
        # Before the reservation is taken, so that `fence` knows every holder of one.
        self._running.add(lease)
        try:
            with self.pipeline.dispatcher.exclusive(delivery.key, patience) as exclusive:
                if not exclusive:
                    raise NotNow(f"{delivery.key} is being handled, or the worker stops: try later")
                lease.deadline = self.clock() + self.deadline
                outcome, trace_id = self.pipeline.processor.handle(delivery)
        finally:
            self._running.discard(lease)
        if outcome is None:
            raise NotNow(
                f"{delivery.key} was not done in time, its effects so far stand: try later"
            )
        return outcome, trace_id

    def fence(self) -> None:
        """Stop the running events from starting new calls of a neighbour."""
        for lease in tuple(self._running):
            self.pipeline.leases.fence(lease)
